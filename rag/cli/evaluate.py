"""`rag evaluate`: how far answers, retrieval and the checker of support can be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag.cli.options import (
    DATA_DIR,
    ENCODER,
    DataDir,
    EncoderName,
    Mirror,
    Offline,
    Prompts,
    settings,
)
from rag.cli.terminal import Bars, say

if TYPE_CHECKING:
    from rag.answer.model import Answer
    from rag.evaluation.comparison import Compared
    from rag.evaluation.evaluated import EvaluatedAnswer
    from rag.evaluation.report import Report
    from rag.evaluation.support import SupportReport
    from rag.support import SupportChecker


def answer_files(paths: Sequence[Path]) -> list[Path]:
    """The files, and those of the folders: a writer's answers stand in `answers/`."""
    found: list[Path] = []
    for path in paths:
        folder = path / "answers" if (path / "answers").is_dir() else path
        found += (
            sorted((*folder.glob("*.json"), *folder.glob("*.jsonl"))) if path.is_dir() else [path]
        )
    return found


def read_answers(paths: Sequence[Path]) -> tuple[dict[str, Answer], list[EvaluatedAnswer]]:
    """The answers of this project by name, and those of other systems."""
    from rag.answer.model import read_answer
    from rag.evaluation.external import read_external

    ours: dict[str, Answer] = {}
    others: list[EvaluatedAnswer] = []
    files = answer_files(paths)
    stems = [path.stem for path in files]
    for path in files:
        if path.suffix == ".jsonl":
            others += read_external(path)
        else:
            ours[path.stem if stems.count(path.stem) == 1 else str(path)] = read_answer(path)
    return ours, others


def common_name(ours: Mapping[str, Answer], others: Sequence[EvaluatedAnswer]) -> str:
    """Who wrote them, where it was one writer."""
    made = {
        " ".join(filter(None, (answer.writer.name, answer.writer.model)))
        for answer in ours.values()
    }
    return made.pop() if len(made) == 1 and not others else "answers"


def tested(checker: SupportChecker, files: Sequence[Path] | None) -> list[SupportReport]:
    """The checker on labelled claims."""
    from rag.evaluation.support import evaluate_labels, read_labelled

    return [evaluate_labels(checker, read_labelled(path), data=path.stem) for path in files or ()]


def write_report(report: Report, folder: Path) -> None:
    """The report as Markdown, JSON and, where it can be drawn, a page of plots."""
    from index.files import write_atomically
    from rag.evaluation.comparison import Compared
    from rag.evaluation.plotting import plot
    from rag.evaluation.rendering import to_json, to_markdown

    write_atomically(folder / "report.md", to_markdown(report).encode())
    write_atomically(folder / "report.json", to_json(report).encode())
    shown = [Compared(report.name, report.checker, report.measures)]
    title = f"{report.name}: {report.answers} answers, {report.statements} statements"
    drawn = plot(shown, folder / "report.png", title=title)
    say(f"report → {folder}" + ("" if drawn else " (no plot: matplotlib is not installed)"))


def write_comparison(systems: Sequence[Compared], output: Path | None) -> None:
    """Show the first beside each other one, and write it where a folder is named."""
    import json

    from index.files import write_atomically
    from rag.evaluation.comparison import compare as pair
    from rag.evaluation.plotting import plot

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
    data_dir: DataDir = DATA_DIR,
    offline: Offline = False,
) -> None:
    """Say how far each ANSWER can be trusted: quotes, citations, unsupported statements, coverage,
    abstention, and the checker itself; with denominators, intervals, and what is wrong by name."""
    from rag.answer.model import read_answer
    from rag.answer.reextraction import Reextraction
    from rag.evaluation.labels import read_labels
    from rag.evaluation.rendering import to_markdown
    from rag.evaluation.report import MismatchedAnswers, evaluate
    from rag.support.builtin import open_checker

    ours, others = read_answers(paths)
    given = None if labels is None else read_labels(labels)
    foreign = None
    if crossed is not None:
        foreign = MismatchedAnswers(tuple(map(read_answer, answer_files([crossed]))))
    chosen = open_checker(checker, offline=offline)
    report = evaluate(
        name or common_name(ours, others),
        chosen,
        answers=ours,
        others=others,
        document_of=Reextraction(settings(data_dir)),
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
    data_dir: DataDir = DATA_DIR,
    offline: Offline = False,
) -> None:
    """Compare systems on the same questions: the first with each other one, pair by pair."""
    from rag.answer.reextraction import Reextraction
    from rag.evaluation.comparison import Compared
    from rag.evaluation.rendering import read_measures
    from rag.evaluation.report import evaluate
    from rag.support.builtin import open_checker

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
        document_of = document_of or Reextraction(settings(data_dir))
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
    data_dir: DataDir = DATA_DIR,
    mirror: Mirror = None,
    offline: Offline = False,
    encoder: EncoderName = ENCODER,
) -> None:
    """Let every writer that can run here answer the PROMPTs, and each question with another
    prompt's works; write a report on each, and a comparison where there are several."""
    from index.errors import WriterError
    from index.files import write_atomically
    from rag.answer.reextraction import Reextraction
    from rag.evaluation.comparison import Compared
    from rag.evaluation.report import evaluate
    from rag.evaluation.trial import try_writer
    from rag.pipeline import Pipeline
    from rag.prompt import read_prompt
    from rag.support.builtin import open_checker
    from rag.writers.choice import WriterChoice, WriterKind, open_writer
    from rag.writers.extractive import ExtractiveWriter

    chosen = settings(data_dir, mirror, offline=offline, encoder=encoder)
    asked = {path.stem: read_prompt(path) for path in prompts}
    if len(asked) < len(prompts):
        raise typer.BadParameter("two prompts have the same file name", param_hint="PROMPT…")
    judge = open_checker(checker, offline=offline)
    on_labels = tested(judge, validity)
    document_of = Reextraction(chosen)
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
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Draw statements of the ANSWERs at random and write the sheet to label: in the column
    `supported`, yes where the listed works say it, no where they do not."""
    from index.files import write_atomically
    from rag.answer.reextraction import Reextraction
    from rag.evaluation.labels import draw, write_sheet
    from rag.evaluation.report import evaluated_answers

    ours, others = read_answers(paths)
    subjects, _ = evaluated_answers(ours, Reextraction(settings(data_dir)))
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
    from rag.evaluation.external import from_marked_text

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AnswerError(f"{path} cannot be read: {error}") from None
    typer.echo(from_marked_text(question, text).to_json())


app = typer.Typer(
    no_args_is_help=True, help="Measure answers, retrieval and the checker of support."
)
for command in (answers, compare, writers, sheet, convert):
    app.command(command.__name__)(command)


class Baseline(StrEnum):
    """What retrieval is compared with, in the same run."""

    LANGCHAIN = "langchain"
    BM25 = "bm25"


@app.command("retrieval")
def retrieval(
    folder: Annotated[Path, typer.Argument(help="documents.jsonl and questions.jsonl.")],
    baseline: Annotated[
        list[Baseline] | None, typer.Option(help="Run this beside it; may be repeated.")
    ] = None,
    reranker: Annotated[
        str, typer.Option(help="A cross-encoder to rerank with: name or folder.")
    ] = "",
    output: Annotated[
        Path | None, typer.Option(help="Where <set>.json and <set>.png are written.")
    ] = None,
    encoder: EncoderName = ENCODER,
    offline: Offline = False,
) -> None:
    """Measure how well passages that answer a question are found, with intervals clustered by
    document and a paired test against each baseline."""
    from index.encoder import load_encoder
    from index.files import write_atomically
    from rag.evaluation.evaluation_set import read_evaluation_set
    from rag.evaluation.retrieval import evaluate_retrieval, plot
    from rag.retrieval.reranker import load_reranker

    data = read_evaluation_set(folder)
    with Bars() as bars:
        report = evaluate_retrieval(
            data,
            load_encoder(encoder, offline=offline),
            baselines=[item.value for item in baseline or ()],
            reranker=load_reranker(reranker, offline=offline) if reranker else None,
            progress=lambda what, done, total: bars(what, done, total, ""),
        )
    typer.echo(report.table())
    if output is not None:
        write_atomically(output / f"{data.name}.json", report.to_json().encode())
        drawn = plot(report, output / f"{data.name}.png")
        say(f"written to {output}" + ("" if drawn else " (no plot: matplotlib is not installed)"))


@app.command("support")
def support(
    files: Annotated[
        list[Path], typer.Argument(help="Labelled claims: JSON lines.", metavar="FILE…")
    ],
    checker: Annotated[
        str, typer.Option(help="An NLI cross-encoder, name or folder; else the one built in.")
    ] = "",
    offline: Offline = False,
    output: Annotated[Path | None, typer.Option(help="Also written here, as JSON.")] = None,
) -> None:
    """Measure the checker of support on claims that people labelled: AUROC, and balanced accuracy
    and F1 at a threshold that was fixed on other data."""
    from index.files import write_atomically
    from rag.evaluation.support import evaluate_labels, read_labelled, render_json, render_markdown
    from rag.support.builtin import open_checker

    chosen = open_checker(checker, offline=offline)
    reports = [evaluate_labels(chosen, read_labelled(path), data=path.stem) for path in files]
    typer.echo(render_markdown(reports))
    if output is not None:
        write_atomically(output, render_json(reports).encode())
