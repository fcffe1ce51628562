"""What other programs ask of the server: whether it is there, its figures in the text format of
Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/), its log as JSON."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from rag.views.web.guard import HEALTH
from rag.views.web.jobs import JobState
from rag.views.web.site import Site

FORMAT = "text/plain; version=0.0.4"
ENDED: tuple[JobState, ...] = ("done", "failed", "cancelled")


def monitoring_routes(site: Site) -> APIRouter:
    """`/healthz` and `/metrics`."""
    router = APIRouter()

    @router.get(HEALTH)
    async def health() -> PlainTextResponse:
        if site.closing:
            return PlainTextResponse("stopping\n", 503)
        return PlainTextResponse("ok\n")

    @router.get("/metrics")
    async def metrics() -> PlainTextResponse:
        return PlainTextResponse(figures(site), media_type=FORMAT)

    return router


def figures(site: Site) -> str:
    """What was done since the server started, and what is on its way."""
    queue = site.job_queue
    states = [job.state for job in queue.active()]
    ended: dict[str, float] = {f'{{state="{state}"}}': queue.counts[state] for state in ENDED}
    families: tuple[tuple[str, str, dict[str, float]], ...] = (
        ("questions_total", "counter", ended),
        ("questions_refused_total", "counter", {"": queue.refused}),
        ("questions_running", "gauge", {"": states.count("running")}),
        ("questions_waiting", "gauge", {"": states.count("waiting")}),
        ("answer_seconds", "summary", {"_sum": queue.seconds, "_count": queue.counts["done"]}),
        ("watchers", "gauge", {"": site.watchers}),
    )
    lines = []
    for name, kind, samples in families:
        lines.append(f"# TYPE rag_{name} {kind}")
        lines += [f"rag_{name}{suffix} {value}" for suffix, value in samples.items()]
    return "\n".join(lines) + "\n"


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
