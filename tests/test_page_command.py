"""`rag ask --format html`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from index.settings import Settings
from tests.parts.works import PROMPTS
from tests.test_commands import ask
from tests.test_page import parsed


def options(settings: Settings) -> tuple[object, ...]:
    return (
        *(
            "--data-dir",
            settings.data_dir,
            "--mirror",
            settings.mirror,
            "--encoder",
            settings.encoder,
        ),
        *("--offline", "--format", "html"),
    )


def test_pages_are_written_beside_each_other(
    prompt_files: Mapping[str, Path], own_settings: Settings, tmp_path: Path
) -> None:
    shown = ask(*prompt_files.values(), *options(own_settings), "--output", tmp_path)
    assert not shown.out
    assert {path.name for path in tmp_path.glob("*.html")} == {f"{name}.html" for name in PROMPTS}
    for name, prompt in PROMPTS.items():
        page = parsed((tmp_path / f"{name}.html").read_text(encoding="utf-8"))
        assert prompt.question in page.words
        assert page.attributes("image", "href")
        assert "See it on page" in page.words


def test_a_page_may_go_to_standard_output(
    prompt_files: Mapping[str, Path], own_settings: Settings
) -> None:
    shown = ask(prompt_files["move"], *options(own_settings))
    assert shown.out.startswith("<!DOCTYPE html>")
    assert shown.out.rstrip().endswith("</html>")
