"""`rag evaluate answers`, `compare`, `writers`, `sheet` and `convert`: how far answers can be
trusted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.options import ENCODER, HOME, EncoderName, Home, Mirror, Offline, Prompts, settings
from scripts.reports import (
    answer_files,
    common_name,
    read_answers,
    tested,
    write_comparison,
    write_report,
)
from scripts.terminal import Bars, say

if TYPE_CHECKING:
    from rag.report.comparison import Compared

Answers = Annotated[
    list[Path],
    typer.Argument(
        help="Answer files (JSON), or answers of other systems (JSON lines).", metavar="ANSWER…"
    ),
]
CheckerName = Annotated[
    str, typer.Option("--checker", help="An NLI cross-encoder, name or folder; else built in.")
]
Labels = Annotated[
    Path | None,
    typer.Option(help="A filled-in sheet (`rag evaluate sheet`): corrects line 3.", dir_okay=False),
]
Validity = Annotated[
    list[Path] | None,
    typer.Option(help="Labelled claims (JSON lines) to test the checker on: line 6."),
]
Spoiled = Annotated[
    int,
    typer.Option(
        min=0, help="Sentences per kind of spoilage that the checker is tried on: line 6."
    ),
]
Output = Annotated[
    Path | None, typer.Option(help="A folder for report.md, report.json and report.png.")
]


def answers(
    paths: Answers,
    checker: CheckerName = "",
    labels: Labels = None,
    validity: Validity = None,
    spoiled: Spoiled = 25,
    crossed: Annotated[
        Path | None,
        typer.Option(help="A folder of answers to questions with another prompt's works: line 5."),
    ] = None,
    name: Annotated[str, typer.Option(help="What the report calls them.")] = "",
    output: Output = None,
    home: Home = HOME,
    offline: Offline = False,
) -> None:
    """Say how far each ANSWER can be trusted: quotes, citations, unsupported statements, coverage,
    abstention, and the checker itself; with denominators, intervals, and what is wrong by name."""
    from rag.answer import read_answer
    from rag.report.labels import read_labels
    from rag.report.rendering import to_markdown
    from rag.report.report import CrossedAnswers, evaluate
    from rag.rereading import Rereading
    from rag.support.opening import open_checker

    ours, others = read_answers(paths)
    given = None if labels is None else read_labels(labels)
    foreign = None
    if crossed is not None:
        foreign = CrossedAnswers(tuple(map(read_answer, answer_files([crossed]))))
    chosen = open_checker(checker, offline=offline)
    report = evaluate(
        name or common_name(ours, others),
        chosen,
        answers=ours,
        others=others,
        document_of=Rereading(settings(home)),
        crossed=foreign,
        labels=given,
        validity=tested(chosen, validity),
        spoiled_per_kind=spoiled,
    )
    typer.echo(to_markdown(report), nl=False)
    if output is not None:
        write_report(report, output)


def compare(
    folders: Annotated[
        list[Path],
        typer.Argument(help="Folders with a report.json, or with answers.", metavar="A/ B/…"),
    ],
    checker: CheckerName = "",
    output: Annotated[
        Path | None, typer.Option(help="A folder for comparison.md, .json and .png.")
    ] = None,
    home: Home = HOME,
    offline: Offline = False,
) -> None:
    """Compare systems on the same questions: the first with each other one, pair by pair."""
    from rag.report.comparison import Compared
    from rag.report.rendering import read_measures
    from rag.report.report import evaluate
    from rag.rereading import Rereading
    from rag.support.opening import open_checker

    if len(folders) < 2:
        raise typer.BadParameter("two or more are needed", param_hint="A/ B/…")
    systems = []
    chosen = document_of = None
    for folder in folders:
        path = folder / "report.json" if folder.is_dir() else folder
        if path.is_file():
            found, judged_by, measures = read_measures(path)
            systems.append(Compared(found, judged_by, measures))
            continue
        chosen = chosen or open_checker(checker, offline=offline)
        document_of = document_of or Rereading(settings(home))
        ours, others = read_answers([folder])
        report = evaluate(folder.name, chosen, answers=ours, others=others, document_of=document_of)
        systems.append(Compared(report.name, report.checker, report.measures))
    write_comparison(systems, output)


def writers(
    prompts: Prompts,
    output: Annotated[Path, typer.Option(help="Where answers and reports are written.")] = Path(
        "data/reports"
    ),
    model: Annotated[str, typer.Option(help="The local instruct model: name or folder.")] = "",
    checker: CheckerName = "",
    validity: Validity = None,
    spoiled: Spoiled = 25,
    home: Home = HOME,
    mirror: Mirror = None,
    offline: Offline = False,
    encoder: EncoderName = ENCODER,
) -> None:
    """Let every writer that can run here answer the PROMPTs, and each question with another
    prompt's works; write a report on each, and a comparison where there are several."""
    from index.errors import WriterError
    from index.sealed import write_atomically
    from rag.pipeline import Pipeline
    from rag.prompt import read_prompt
    from rag.report.comparison import Compared
    from rag.report.report import evaluate
    from rag.report.trial import try_writer
    from rag.rereading import Rereading
    from rag.support.opening import open_checker
    from rag.writers.choice import WriterChoice, WriterKind, open_writer
    from rag.writers.extractive import ExtractiveWriter

    chosen = settings(home, mirror, offline=offline, encoder=encoder)
    asked = {path.stem: read_prompt(path) for path in prompts}
    if len(asked) < len(prompts):
        raise typer.BadParameter("two prompts have the same file name", param_hint="PROMPT…")
    judge = open_checker(checker, offline=offline)
    on_labels = tested(judge, validity)
    document_of = Rereading(chosen)
    kinds: tuple[WriterKind, ...] = ("extractive", "local")
    systems: list[Compared] = []
    notes: list[str] = []
    for kind in kinds:
        try:
            choice = WriterChoice(kind=kind, model=model, offline=offline)
            pipeline = Pipeline.of(chosen, open_writer(choice, ExtractiveWriter, announce=say))
            with Bars() as bars:
                trial = try_writer(pipeline, asked, notify=bars)
        except WriterError as error:
            notes.append(f"The writer {kind!r} could not run here: {error}")
            say(notes[-1])
            continue
        folder = output / kind
        for part, made in (("answers", trial.answers), ("crossed", trial.crossed)):
            for name, answer in made.items():
                write_atomically(folder / part / f"{name}.json", answer.to_json().encode())
        report = evaluate(
            kind,
            judge,
            answers=trial.answers,
            document_of=document_of,
            crossed=trial.foreign(),
            validity=on_labels,
            spoiled_per_kind=spoiled,
        )
        write_report(report, folder)
        systems.append(Compared(report.name, report.checker, report.measures))
    if len(systems) > 1:
        write_comparison(systems, output)
    listed = [f"- [{item.name}]({item.name}/report.md)" for item in systems]
    page = "\n".join(["# Reports", "", *listed, "", *notes]).rstrip() + "\n"
    write_atomically(output / "README.md", page.encode())


def sheet(
    paths: Answers,
    output: Annotated[Path, typer.Option(help="The sheet (CSV).", dir_okay=False)],
    size: Annotated[int, typer.Option(min=1, help="How many statements to draw.")] = 50,
    seed: Annotated[int, typer.Option(help="Another seed draws others.")] = 0,
    home: Home = HOME,
) -> None:
    """Draw statements of the ANSWERs at random and write the sheet to label: in the column
    `supported`, yes where the listed works say it, no where they do not."""
    from index.sealed import write_atomically
    from rag.report.labels import draw, write_sheet
    from rag.report.report import subjects_of
    from rag.rereading import Rereading

    ours, others = read_answers(paths)
    subjects, _ = subjects_of(ours, Rereading(settings(home)))
    drawn = draw([*subjects, *others], size, seed=seed)
    if output.exists():
        raise typer.BadParameter(f"{output} is there already: labels in it would be lost")
    write_atomically(output, write_sheet(drawn).encode())
    say(f"{len(drawn)} statements → {output}")


def convert(
    question: Annotated[str, typer.Argument(help="The question that was answered.")],
    path: Annotated[
        Path, typer.Argument(help="Prose with [n] markers, then lines that begin with [n].")
    ],
) -> None:
    """Turn an answer in plain text into a line of the form that `rag evaluate answers` reads."""
    from index.errors import AnswerError
    from rag.report.foreign import from_marked_text

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AnswerError(f"{path} cannot be read: {error}") from None
    typer.echo(from_marked_text(question, text).to_json())
