"""`rag serve`: ask, watch, read and verify in a browser."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from rag.cli.options import PipelineOptions, pipeline_options, say, with_options_of

if TYPE_CHECKING:
    from rag.views.web.answering import Answering, PipelineAnswering


@with_options_of(pipeline_options)
def serve(
    pipeline_options: Callable[[], PipelineOptions],
    host: Annotated[
        str, typer.Option(help="Where to listen. Anything but this machine asks for a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 is any that is free.")] = 8765,
    token: Annotated[
        bool, typer.Option("--token", help="Ask for a token on this machine too.")
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="One more name under which browsers find this machine; repeatable."),
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(
            "--also",
            metavar="MODEL",
            help="One more model that visitors may choose, of the same writer; repeatable. To do "
            "without a model can always be chosen.",
        ),
    ] = None,
    queue: Annotated[int, typer.Option(min=1, help="How many questions may wait.")] = 100,
    workers: Annotated[
        int,
        typer.Option(
            min=1, max=1000, help="How many processes answer, each with models of its own."
        ),
    ] = 1,
    log_json: Annotated[
        bool,
        typer.Option("--log-json", help="Log on stderr as lines of JSON, one for each question."),
    ] = False,
) -> None:
    """Serve a page to ask on, by default for this machine alone.

    Answers are stored in the data directory, under answers/. End it with Ctrl-C."""
    from rag.support.builtin import shared_checker
    from rag.views.web.answering import WorkerProcesses
    from rag.views.web.server import bind, serve
    from rag.views.web.site import Site

    if log_json:
        logging.getLogger("rag").setLevel(logging.INFO)
        log_as_json()
    options = pipeline_options()
    settings = options.settings
    if workers > 1 and settings.store.endswith(".db"):
        raise typer.BadParameter(
            f"{settings.store} can be open in one process at a time: start `milvus-lite server` "
            "and name its address by --store",
            param_hint="--workers",
        )
    bound = bind(host, port)
    with contextlib.ExitStack() as ended:
        answering: Answering
        if workers > 1:
            levels = {name: logging.getLogger(name).level for name in ("", "index", "rag")}
            # What they have to say, one says for all.
            each = (replace(options, quiet=number > 0) for number in range(workers))
            openings = [partial(open_in_worker, one, also or (), levels, log_json) for one in each]
            answering = processes = WorkerProcesses(openings, options.concurrency)
            ended.callback(processes.close)
        else:
            answering = open_answering(options, also or ())
        site = Site(
            settings,
            answering,
            lambda: shared_checker(offline=settings.offline, announce=say, device=settings.device),
            places=queue,
        )
        rests = serve(
            site,
            host=host,
            bound=bound,
            allowed=allow_host or (),
            always_token=token,
            announce=typer.echo,
        )
    if not rests:
        # A thread is still inside a model's step or a paper and cannot be stopped. Files are
        # written atomically, so that ending it anywhere leaves none half written.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


class JsonFormatter(logging.Formatter):
    """Each record as one line of JSON; what the record says of a question stands beside it."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "about", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_as_json() -> None:
    """Log as lines of JSON from now on."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JsonFormatter())


def open_in_worker(
    options: PipelineOptions, also: Sequence[str], levels: Mapping[str, int], log_json: bool
) -> PipelineAnswering:
    """What answers questions in a process of its own, which logs as the one that started it."""
    logging.basicConfig()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    if log_json:
        log_as_json()
    return open_answering(options, also)


def open_answering(options: PipelineOptions, also: Sequence[str]) -> PipelineAnswering:
    """What answers questions, with the models `also` to choose from."""
    from rag.views.web.answering import PipelineAnswering
    from rag.writers import Writer
    from rag.writers.choice import open_writer
    from rag.writers.extractive import ExtractiveWriter

    pipeline, choice = options.open(), options.writer
    if choice.kind != "chat":
        choice = replace(choice, kind="local")
    writers: dict[str, Callable[[], Writer]] = {
        model: partial(open_writer, replace(choice, model=model), announce=say) for model in also
    }
    if not isinstance(pipeline.writer, ExtractiveWriter):
        writers["no model: sentences are chosen"] = partial(ExtractiveWriter, device=choice.device)
    return PipelineAnswering(pipeline, writers)
