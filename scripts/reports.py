"""What the commands of `rag evaluate` that judge answers read and write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from scripts.terminal import say

if TYPE_CHECKING:
    from rag.answer import Answer
    from rag.report.comparison import Compared
    from rag.report.report import Report
    from rag.report.subject import Subject
    from rag.support import SupportChecker
    from rag.support.evaluation import SupportReport


def answer_files(paths: Sequence[Path]) -> list[Path]:
    """The files, and those of the folders: a writer's answers stand in `answers/`."""
    found: list[Path] = []
    for path in paths:
        folder = path / "answers" if (path / "answers").is_dir() else path
        found += (
            sorted((*folder.glob("*.json"), *folder.glob("*.jsonl"))) if path.is_dir() else [path]
        )
    return found


def read_answers(paths: Sequence[Path]) -> tuple[dict[str, Answer], list[Subject]]:
    """The answers of this project by name, and those of other systems."""
    from rag.answer import read_answer
    from rag.report.foreign import read_foreign

    ours: dict[str, Answer] = {}
    others: list[Subject] = []
    files = answer_files(paths)
    stems = [path.stem for path in files]
    for path in files:
        if path.suffix == ".jsonl":
            others += read_foreign(path)
        else:
            ours[path.stem if stems.count(path.stem) == 1 else str(path)] = read_answer(path)
    return ours, others


def common_name(ours: Mapping[str, Answer], others: Sequence[Subject]) -> str:
    """Who wrote them, where it was one writer."""
    made = {
        " ".join(filter(None, (answer.writer.name, answer.writer.model)))
        for answer in ours.values()
    }
    return made.pop() if len(made) == 1 and not others else "answers"


def tested(checker: SupportChecker, files: Sequence[Path] | None) -> list[SupportReport]:
    """The checker on labelled claims."""
    from rag.support.evaluation import evaluate_labels, read_labelled

    return [evaluate_labels(checker, read_labelled(path), data=path.stem) for path in files or ()]


def write_report(report: Report, folder: Path) -> None:
    """The report as Markdown, JSON and, where it can be drawn, a page of plots."""
    from index.sealed import write_atomically
    from rag.report.comparison import Compared
    from rag.report.plotting import plot
    from rag.report.rendering import to_json, to_markdown

    write_atomically(folder / "report.md", to_markdown(report).encode())
    write_atomically(folder / "report.json", to_json(report).encode())
    shown = [Compared(report.name, report.checker, report.measures)]
    title = f"{report.name}: {report.answers} answers, {report.statements} statements"
    drawn = plot(shown, folder / "report.png", title=title)
    say(f"report → {folder}" + ("" if drawn else " (no plot: matplotlib is not installed)"))


def write_comparison(systems: Sequence[Compared], output: Path | None) -> None:
    """Show the first beside each other one, and write it where a folder is named."""
    import json

    from index.sealed import write_atomically
    from rag.report.comparison import compare as pair
    from rag.report.plotting import plot

    pairs = [pair(systems[0], other) for other in systems[1:]]
    page = "\n".join(found.to_markdown() for found in pairs)
    typer.echo(page, nl=False)
    if output is None:
        return
    write_atomically(output / "comparison.md", page.encode())
    data = [json.loads(found.to_json()) for found in pairs]
    write_atomically(
        output / "comparison.json", (json.dumps(data, ensure_ascii=False, indent=2) + "\n").encode()
    )
    plot(systems, output / "comparison.png", title="Side by side")
    say(f"comparison → {output}")
