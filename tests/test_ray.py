"""Two Ray nodes on this machine, both real: what they read and embed is what one process would,
whatever is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from index.build import build
from index.catalog import Catalog
from index.cluster import Cluster, SharedHttp, open_cluster
from index.encoder import Encoder
from index.errors import ClusterError
from index.settings import Settings
from index.sources import Source, SourceStore
from index.sources.fetch import Endpoints, Fetcher
from index.sources.http import RetryPolicy
from rag.cli.options import listings_in
from rag.prompt import prompt_of
from tests.parts import ROOT
from tests.parts.commands import MAIN, run
from tests.parts.interrupted import write_papers
from tests.parts.processes import children
from tests.parts.ray_nodes import RayNodes, ray_nodes
from tests.parts.servers import PDF, Reply, Request, Server, entry, feed


def segments(data_dir: Path) -> dict[str, bytes]:
    """The segments of a data directory, by name."""
    return {path.name: path.read_bytes() for path in (data_dir / "index").glob("*.segment")}


ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")


@pytest.fixture(scope="module")
def nodes() -> Iterator[RayNodes]:
    with ray_nodes() as nodes:
        yield nodes


@pytest.fixture(scope="module")
def cluster(nodes: RayNodes) -> Iterator[Cluster]:
    with open_cluster(nodes.address) as cluster:
        yield cluster


def test_requests_of_several_commands_keep_the_pace_of_one(
    cluster: Cluster, tmp_path: Path
) -> None:
    pause = 0.4
    with Server() as server:
        ids = [f"2401.{number:05}" for number in range(1, 7)]

        def described(request: Request) -> Reply:
            return feed(*(entry(f"{name}v1") for name in request.query["id_list"].split(",")))

        server.tell("/api/query", described)
        for name in ids:
            server.tell(f"/pdf/{name}v1", Reply(body=PDF))
        endpoints = Endpoints(server.url, server.url, server.url)
        policy = RetryPolicy(interval={"127.0.0.1": pause})

        def fetch(half: list[str]) -> None:
            http = SharedHttp(endpoints.origins, policy)
            store = SourceStore(tmp_path)
            fetcher = Fetcher(store, http=http, endpoints=endpoints)
            results = fetcher.fetch(prompt_of("What is it?", half).catalog)
            assert all(isinstance(result, Source) for result in results.values())

        both = [threading.Thread(target=fetch, args=(half,)) for half in (ids[:3], ids[3:])]
        for thread in both:
            thread.start()
        while len(server.requests) < 4:
            time.sleep(0.01)
        ray.kill(ray.get_actor("http"))  # as where its node is lost
        for thread in both:
            thread.join()
        assert {f"/pdf/{name}v1" for name in ids} < set(server.paths)
        times = [request.at for request in server.requests]
        assert min(later - earlier for earlier, later in pairwise(times)) > 0.9 * pause


def test_what_a_killed_command_left_is_completed_while_a_process_and_a_node_are_killed(
    nodes: RayNodes, cluster: Cluster, encoder_folder: Path, encoder: Encoder, tmp_path: Path
) -> None:
    options = write_papers(tmp_path / "papers", encoder_folder)
    catalog = Catalog.of(listings_in(options[:1]))
    settings = Settings(tmp_path / "alone", Path(options[2]), True, str(encoder_folder))
    build(catalog, settings, encoder)
    alone = segments(settings.data_dir)
    assert len(alone) == len(catalog.source_ids)

    shared = replace(settings, data_dir=tmp_path / "shared")
    command = [sys.executable, "-c", MAIN, "index", *options, "--data-dir", str(shared.data_dir)]
    with subprocess.Popen(
        [*command, "--ray", nodes.address],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    ) as process:
        while process.poll() is None and not segments(shared.data_dir):
            time.sleep(0.005)
        process.kill()
    left = segments(shared.data_dir)
    assert left.items() <= alone.items(), "a killed command leaves whole segments or none"
    missing = len(alone) - len(left)
    seen = []

    def notify(stage: str, done: int, total: int, what: str) -> None:
        if stage == "read and embed":
            seen.append((done, total))
            if done == 2:
                for worker in children(nodes.head):
                    with contextlib.suppress(ProcessLookupError):
                        title = Path(f"/proc/{worker}/cmdline").read_bytes()
                        if title.startswith((b"ray::read", b"ray::embed", b"ray::IDLE")):
                            os.kill(worker, signal.SIGKILL)
            if done == 4:
                os.kill(nodes.other, signal.SIGKILL)

    again = build(catalog, shared, encoder, notify=notify, cluster=cluster)
    assert (again.embedded, again.failed) == (missing, ())
    assert seen == [(done, missing) for done in range(missing + 1)]
    assert segments(shared.data_dir) == alone


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("ray://here:10001", "expected the address of a cluster's head (host:6379), or auto"),
        ("127.0.0.1:9", "no Ray cluster at 127.0.0.1:9 (ConnectionRefusedError"),
    ],
)
def test_a_cluster_that_is_not_there_is_named_at_once(address: str, reason: str) -> None:
    with pytest.raises(ClusterError) as error, open_cluster(address):
        pass
    assert reason in str(error.value)


def test_without_the_extra_it_says_which_one(
    prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    program = f"import sys; sys.modules['ray'] = None; {MAIN}"
    arguments = ("index", prompt_files["move"], "--data-dir", tmp_path, "--ray", "auto")
    output = run(*arguments, code=2, program=program)
    assert "--ray auto needs the extra `ray`" in output.err
    assert "pip install 'grounded-rag[ray]'" in output.err
