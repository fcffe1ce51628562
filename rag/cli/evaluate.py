"""`rag evaluate`: how far answers, retrieval and the support checker can be trusted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from index.errors import WriterError
from index.files import write_output
from index.settings import Settings, WriterKind
from rag.cli import options
from rag.cli.options import Bars, say
from rag.plaintext import plain

if TYPE_CHECKING:
    from rag.evaluation.relevance import GradedPrompt
    from rag.evaluation.report import Report
    from rag.support import SupportChecker

app = typer.Typer(no_args_is_help=True, help="Measure answers, retrieval and the support checker.")

Paths = Annotated[
    list[Path],
    typer.Argument(metavar="ANSWER", help="Answer files, or external systems' (JSON lines)."),
]
CheckerName = Annotated[
    str, typer.Option("--checker", help="An NLI cross-encoder, name or folder; else built in.")
]
Validity = Annotated[
    list[Path] | None, typer.Option(help="Labelled claims to test the checker on: line 6.")
]
Perturbed = Annotated[
    int, typer.Option(min=0, help="Sentences for each kind of perturbation: line 6.")
]
Output = Annotated[
    Path | None, typer.Option(help="A folder for the result as text, JSON and a plot.")
]
Graded = Annotated[
    list[Path] | None, typer.Option("--graded", help="Graded prompts: line 7, on those answered.")
]
Mirrors = Annotated[
    list[Path] | None,
    typer.Option("--mirror", help="A folder with the graded prompts' works.", file_okay=False),
]
BaselineName = StrEnum("BaselineName", ["langchain", "bm25"])  # Typer takes no literals here.


@app.command()
def answers(
    paths: Paths,
    checker: CheckerName = "",
    labels: Annotated[
        Path | None, typer.Option(help="A filled-in sheet: corrects line 3.", dir_okay=False)
    ] = None,
    validity: Validity = None,
    perturbed: Perturbed = 25,
    mismatched: Annotated[
        Path | None, typer.Option(help="Answers with another prompt's works: line 5.")
    ] = None,
    name: Annotated[str, typer.Option(help="What the report calls them.")] = "",
    graded: Graded = None,
    mirror: Mirrors = None,
    output: Output = None,
    data_dir: options.DataDir = options.DATA_DIR,
    offline: options.Offline = False,
    device: options.Device = "",
) -> None:
    """Say how far each ANSWER can be trusted: quotes, citations, unsupported statements, coverage,
    abstention, and the checker itself; with denominators, intervals, and what is wrong by name."""
    from rag.evaluation.answers import MismatchedAnswers, read_answers
    from rag.evaluation.support import evaluate_files, read_labels
    from rag.support.builtin import open_checker

    opened = open_checker(checker, offline=offline, device=device)
    began = time.monotonic()
    report = _evaluate(
        name,
        opened,
        paths,
        data_dir,
        mismatched=MismatchedAnswers(read_answers([mismatched])[0]) if mismatched else None,
        labels=read_labels(labels) if labels else None,
        validity=evaluate_files(opened, validity or ()),
        perturbed_per_kind=perturbed,
        graded=[prompt for each in _graded(graded or (), mirror or ()) for prompt in each],
    )
    typer.echo(_screen(report), nl=False)
    say(f"evaluated in {time.monotonic() - began:.0f} s")
    if output is None:
        say("the whole report, with everything that is wrong by name: --output FOLDER")
    else:
        _write(report, output)


@app.command()
def compare(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="REPORT", help="Folders with a report.json, or with answers."),
    ],
    checker: CheckerName = "",
    output: Output = None,
    data_dir: options.DataDir = options.DATA_DIR,
    offline: options.Offline = False,
    device: options.Device = "",
) -> None:
    """Compare systems on the same questions: the first with each other one, pair by pair."""
    from rag.evaluation.report import read_report
    from rag.support.builtin import open_checker

    if len(folders) < 2:
        raise typer.BadParameter("two or more are needed", param_hint="A/ B/…")
    reports = []
    opened = None
    for folder in folders:
        path = folder / "report.json" if folder.is_dir() else folder
        if path.is_file():
            reports.append(read_report(path))
        else:
            opened = opened or open_checker(checker, offline=offline, device=device)
            reports.append(_evaluate(folder.name, opened, [folder], data_dir))
    _compare(reports, output)


@app.command()
@options.with_options_of(options.settings)
def writers(
    open_settings: options.OpenSettings,
    asked: options.QuestionOrPrompts,
    output: Annotated[Path, typer.Option(help="A folder for answers and reports.")] = Path(
        "data/reports"
    ),
    model: options.Model = "",
    checker: CheckerName = "",
    validity: Validity = None,
    perturbed: Perturbed = 25,
) -> None:
    """Let every writer that can run here answer the PROMPTs, and each question with another
    prompt's works; write a report on each, and a comparison where there are several."""
    from rag.evaluation.answers import try_writer
    from rag.evaluation.report import evaluate
    from rag.evaluation.support import evaluate_files
    from rag.pipeline import Pipeline
    from rag.support.builtin import open_checker
    from rag.writers.choice import WriterChoice, open_writer

    chosen = open_settings()
    offline, device = chosen.offline, chosen.device
    parsed = options.prompts_in(asked)
    prompts = {options.name_of(prompt): prompt for prompt in parsed}
    if len(prompts) < len(parsed):
        raise typer.BadParameter("two prompts have the same file name", param_hint="PROMPT…")
    opened = open_checker(checker, offline=offline, device=device)
    on_labels = evaluate_files(opened, validity or ())
    kinds: tuple[WriterKind, ...] = ("extractive", "local")
    reports: list[Report] = []
    notes = []
    for kind in kinds:
        try:
            choice = WriterChoice(kind=kind, model=model, offline=offline, device=device)
            pipeline = Pipeline.of(chosen, open_writer(choice, announce=say))
            with Bars() as bars:
                own, mismatched = try_writer(pipeline, prompts, notify=bars)
        except WriterError as error:
            notes.append(f"The writer {kind!r} could not run here: {error}")
            say(notes[-1])
            continue
        for part, made in (("answers", own), ("mismatched", mismatched.answers)):
            for name, answer in made.items():
                write_output(output / kind / part / f"{name}.json", answer.to_json().encode())
        report = evaluate(
            kind,
            opened,
            answers=own,
            document_of=options.reextraction(own.values(), chosen),
            mismatched=mismatched,
            validity=on_labels,
            perturbed_per_kind=perturbed,
        )
        _write(report, output / kind)
        reports.append(report)
    if len(reports) > 1:
        _compare(reports, output)
    links = [f"- [{report.name}]({report.name}/report.md)" for report in reports]
    page = "\n".join(["# Reports", "", *links, "", *notes]).rstrip() + "\n"
    write_output(output / "README.md", page.encode())


@app.command()
def sheet(
    paths: Paths,
    output: Annotated[Path, typer.Option(help="The sheet (CSV).", dir_okay=False)],
    size: Annotated[int, typer.Option(min=1, help="How many statements to draw.")] = 50,
    seed: Annotated[int, typer.Option(help="Another seed draws others.")] = 0,
    data_dir: options.DataDir = options.DATA_DIR,
) -> None:
    """Draw statements of the ANSWERs at random and write the sheet to label: in the column
    `supported`, yes where the listed works say it, no where they do not."""
    from rag.evaluation.answers import evaluated_answers, read_answers
    from rag.evaluation.support import draw, write_sheet

    if output.exists():
        raise typer.BadParameter(f"{output} is there already: labels in it would be lost")
    own, external = read_answers(paths)
    document_of = options.reextraction(own.values(), options.settings(data_dir))
    evaluated, _ = evaluated_answers(own, document_of)
    drawn = draw([*evaluated, *external], size, seed=seed)
    write_output(output, write_sheet(drawn).encode())
    say(f"{len(drawn)} statements → {output}")


@app.command()
def convert(
    question: Annotated[str, typer.Argument(help="The question that was answered.")],
    path: Annotated[
        Path,
        typer.Argument(
            help=r"Prose with markers \[n], then lines that begin with \[n].",
            exists=True,
            dir_okay=False,
        ),
    ],
) -> None:
    """Turn an answer in plain text into a line of the form that `rag evaluate answers` reads."""
    from rag.evaluation.citations import from_marked_text

    text = path.read_text(encoding="utf-8", errors="replace")
    typer.echo(from_marked_text(question, text).to_json())


@app.command()
def retrieval(
    folder: Annotated[Path, typer.Argument(help="documents.jsonl and questions.jsonl.")],
    baseline: Annotated[
        list[BaselineName] | None, typer.Option(help="Run this beside it; may be repeated.")
    ] = None,
    reranker: Annotated[str, typer.Option(help="A cross-encoder: name or folder.")] = "",
    output: Output = None,
    encoder: options.EncoderName = options.ENCODER,
    offline: options.Offline = False,
    device: options.Device = "",
) -> None:
    """Measure how well passages that answer a question are found, with intervals clustered by
    document and a paired test against each baseline."""
    from index.encoder import LazyEncoder
    from rag.evaluation.retrieval import evaluate_retrieval, read_evaluation_set
    from rag.retrieval.retrieve import load_reranker

    options.require("evaluate", "ir_measures", "pytrec_eval")
    if "langchain" in (baseline or ()):
        options.require("evaluate", "langchain_text_splitters")
    data = read_evaluation_set(folder)
    with Bars() as bars:
        report = evaluate_retrieval(
            data,
            LazyEncoder(Settings(encoder=encoder, offline=offline, device=device)),
            baselines=baseline or (),
            reranker=load_reranker(reranker, offline=offline, device=device) if reranker else None,
            notify=bars,
        )
    typer.echo(report.table())
    if output is not None:
        write_output(output / f"{data.name}.json", report.to_json().encode())
        _say_written(output, drawn=report.plot(output / f"{data.name}.png"))


@app.command()
def support(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Labelled claims.")],
    split: Annotated[str, typer.Option(help="Only claims of this split, or of none.")] = "",
    checker: CheckerName = "",
    offline: options.Offline = False,
    device: options.Device = "",
    output: Annotated[Path | None, typer.Option(help="Also written here, as JSON.")] = None,
) -> None:
    """Measure the support checker on claims that people labelled: AUROC, and balanced accuracy
    and F1 at a threshold that was fixed on other data."""
    from rag.evaluation.support import evaluate_files, render_json, render_markdown
    from rag.support.builtin import open_checker

    reports = evaluate_files(open_checker(checker, offline=offline, device=device), files, split)
    typer.echo(render_markdown(reports))
    if output is not None:
        write_output(output, render_json(reports).encode())


@app.command()
def relevance(
    graded: Annotated[
        list[Path], typer.Argument(help="Graded prompts: folders of JSON files, or JSON lines.")
    ],
    mirror: Mirrors = None,
    part: Annotated[str, typer.Option("--set", help="Only prompts of this set, as test.")] = "",
    device: options.Device = "",
) -> None:
    """Say whether the sentences explain that the selection tells of GRADED prompts, beside what
    the first sentences of each work and those nearest to the question would give."""
    from rag.evaluation.relevance import choose, floor, relevance_table
    from rag.selection.grading import trained_model

    model = trained_model(device)
    for path, prompts in zip(graded, _graded(graded, mirror or ()), strict=True):
        chosen = [prompt for prompt in prompts if part in ("", prompt.set)]
        rows = {
            "selection": [(each, choose(each, model.scores(each.evidence))) for each in chosen],
            "first sentences": [(each, floor(each, "first sentences")) for each in chosen],
            "cosine": [(each, floor(each, "cosine")) for each in chosen],
        }
        typer.echo(relevance_table(f"{path.name}: {len(chosen)} prompts", rows), nl=False)


def _graded(paths: Sequence[Path], mirrors: Sequence[Path]) -> list[list[GradedPrompt]]:
    from index.encoder import load_encoder
    from rag.evaluation.relevance import read_graded

    if not paths:
        return []
    encoder = load_encoder(offline=True)
    return [read_graded(path, encoder, mirrors) for path in paths]


_DETAILS = ("recall_gap", "false_parts", "source_type_")  # Measures that only the report has.


def _screen(report: Report) -> str:
    """What fits a screen of 24 lines by 100 characters: the figures that matter, and how much is
    wrong. Everything else is in the files."""
    from rag.evaluation.report import figure

    lines = [
        f"{report.name}; answers: {report.answers}, questions: {report.prompts}, statements in own "
        f"words: {report.statements}, quotations: {report.quotations}, fixed: {report.fixed}",
        f"checker {report.checker}, threshold {report.threshold:.2f}; intervals: 95 %",
    ]
    lines += [] if report.statements else ["2, 3 are of a writer's own words: there are none"]
    for item in report.measures:
        if not item.key.startswith(_DETAILS) and (report.statements or item.line not in (2, 3)):
            value, ends = figure(item.estimate())
            _, scored, unscored = item.counts()
            of = f"of {scored}" + (f", {unscored} not scored" if unscored else "")
            lines.append(f"{item.line} {item.label:<55}{value:>8} {ends:>17}  {of}")
    if report.perturbations:
        rows = [row for row in report.perturbations.rows if row.perturbed]
        found, total = sum(row.by_either for row in rows), sum(row.total for row in rows)
        lines.append(f"6 perturbed sentences that the checker finds: {found} of {total}")
    lines.append(f"{len(report.problems)} problems" + (", the first:" if report.problems else ""))
    lines += [f"  {one}" for one in report.problems[:2]]
    return "".join(plain(line)[:100] + "\n" for line in lines)


def _evaluate(
    name: str, checker: SupportChecker, paths: Sequence[Path], data_dir: Path, **more: Any
) -> Report:
    from rag.evaluation.answers import read_answers
    from rag.evaluation.report import evaluate

    own, external = read_answers(paths)
    document_of = options.reextraction(own.values(), options.settings(data_dir))
    with Bars() as bars:
        return evaluate(
            name, checker, answers=own, external=external, document_of=document_of, notify=bars,
            **more,
        )  # fmt: skip


def _write(report: Report, folder: Path) -> None:
    from rag.evaluation.report import write_report

    _say_written(folder, drawn=write_report(report, folder))


def _compare(reports: Sequence[Report], output: Path | None) -> None:
    """Show the first beside each other one, and write it where a folder is named."""
    from rag.evaluation.report import compare, write_comparisons

    comparisons = [compare(reports[0], other) for other in reports[1:]]
    typer.echo("\n".join(each.to_markdown() for each in comparisons), nl=False)
    if output is not None:
        _say_written(output, drawn=write_comparisons(reports, comparisons, output))


def _say_written(folder: Path, *, drawn: bool) -> None:
    say(f"written to {folder}" + ("" if drawn else " (no plot: matplotlib is not installed)"))
