"""What a terminal shows of work that goes on."""

from __future__ import annotations

import pytest

from rag.cli.terminal import Bars


def test_words_of_others_are_text_beside_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal, in the eyes of the library that draws
    with Bars() as bars:
        bars("fetch", 1, 3, "moved to [link=https://evil.example]x[/link] \x1b[31m[/nothing]")
    shown = capsys.readouterr().err
    assert "[link=https://evil.example]x[/link] [31m[/nothing]" in shown.replace("\n", "")
    assert "\x1b]8;" not in shown
