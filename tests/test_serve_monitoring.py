"""What other programs ask of the server: health, figures for Prometheus, lines of JSON."""

from __future__ import annotations

import io
import json
import logging
import re
import time
from pathlib import Path

import pytest

from rag.cli.serve import JsonFormatter
from rag.views.web.jobs import Job, JobQueue, QueueFullError
from rag.views.web.server import create_app
from rag.views.web.site import Site, new_id
from tests.parts.sites import send, tiny_site
from tests.parts.works import PROMPTS

TOKEN = "a-token-of-the-test"


@pytest.fixture
def site(tmp_path: Path, small_mirror: Path) -> Site:
    return tiny_site(tmp_path, small_mirror)


def ended(queue: JobQueue, job: Job) -> None:
    queue.put(job)
    while queue.active():
        time.sleep(0.01)


def test_figures_count_what_was_asked(site: Site) -> None:
    app = create_app(site, host="127.0.0.1")
    ended(site.job_queue, Job(new_id(), PROMPTS["move"]))
    site.job_queue.close(1)
    with pytest.raises(QueueFullError):
        site.job_queue.put(Job(new_id(), PROMPTS["move"]))
    shown = send(app, "GET", "/metrics")
    assert shown.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = shown.text.splitlines()
    samples = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert all(re.fullmatch(r'[a-z_]+(\{[a-z]+="[a-z]+"\})?', name) for name in samples)
    assert samples['rag_questions_total{state="done"}'] == "1"
    assert samples["rag_questions_refused_total"] == samples["rag_answer_seconds_count"] == "1"
    assert float(samples["rag_answer_seconds_sum"]) > 0
    assert samples["rag_questions_waiting"] == samples["rag_questions_running"] == "0"


def test_health_is_open_and_figures_need_the_token(site: Site) -> None:
    app = create_app(site, host="0.0.0.0", token=TOKEN)
    assert send(app, "GET", "/healthz").text == "ok\n"
    assert send(app, "GET", "/metrics").status_code == 401
    for shown, status in ((f"Bearer {TOKEN}", 200), ("Bearer ", 401), ("Bearer x", 401)):
        headers = {"authorization": shown}
        assert send(app, "GET", "/metrics", headers=headers).status_code == status
    site.closing = True
    assert send(app, "GET", "/healthz").status_code == 503


def test_every_question_is_a_line_of_json() -> None:
    def answer(job: Job) -> None:
        raise ZeroDivisionError("<b>nothing</b>\nto divide by")

    stream, log = io.StringIO(), logging.getLogger("rag.views.web.jobs")
    handler, level = logging.StreamHandler(stream), log.level
    handler.setFormatter(JsonFormatter())
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        ended(JobQueue(answer, places=1), Job("it", PROMPTS["move"]))
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
    defect, line = map(json.loads, stream.getvalue().splitlines())
    assert "ZeroDivisionError" in defect["exception"]
    assert (line["answer"], line["state"], line["level"]) == ("it", "failed", "INFO")
    assert line["seconds"] >= 0
