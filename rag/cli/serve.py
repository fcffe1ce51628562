"""`rag serve`: ask, watch, read and verify in a browser."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from rag.cli.options import OpenPipeline, open_pipeline, say, with_options_of

if TYPE_CHECKING:
    from rag.writers.base import Writer


@with_options_of(open_pipeline)
def run(
    open_pipeline: OpenPipeline,
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
    log_json: Annotated[
        bool,
        typer.Option("--log-json", help="Log on stderr as lines of JSON, one for each question."),
    ] = False,
) -> None:
    """Serve a page to ask on, by default for this machine alone.

    Answers are stored in the data directory, under answers/. End it with Ctrl-C."""
    from rag.views.warnings import default_checker
    from rag.views.web.server import bind, serve
    from rag.views.web.site import Site
    from rag.writers.chat import ChatWriter
    from rag.writers.extractive import ExtractiveWriter

    if log_json:
        from rag.views.web.monitoring import JsonFormatter

        logging.getLogger("rag").setLevel(logging.INFO)
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonFormatter())
    bound = bind(host, port)
    pipeline = open_pipeline()
    offline, device = pipeline.settings.offline, pipeline.settings.device
    kind = "chat" if isinstance(pipeline.writer, ChatWriter) else "local"

    def writer_of(model: str) -> Writer:
        return open_pipeline(writer=kind, model=model).writer

    writers: dict[str, Callable[[], Writer]] = {
        model: partial(writer_of, model) for model in also or ()
    }
    if not isinstance(pipeline.writer, ExtractiveWriter):
        writers["no model: sentences are chosen"] = partial(ExtractiveWriter, device=device)
    site = Site(
        pipeline,
        lambda: default_checker(offline=offline, announce=say, device=device),
        places=queue,
        writers=writers,
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
