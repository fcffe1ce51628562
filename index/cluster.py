"""Indexing on a Ray cluster: its nodes read and embed, everything else is done where the command
runs.

That process finds the sources, keeps the ledger, and stores texts and segments as they come. A
node needs this program and Ray, and nothing of its user: no data directory, mirror, file or model.
What travels are bytes, never paths.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stdout
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from index.build import passages_to_embed
from index.documents import Document
from index.documents.extract import ReaderProcess, WarningLog, cache_document, cached_document
from index.encoder import Encoder, LazyEncoder
from index.errors import ClusterError, EncoderError, RagError, SourceError
from index.settings import Settings
from index.sources import Source, SourceStore
from index.sources.fetch import Endpoints
from index.sources.http import Http, HttpError, Response, RetryPolicy
from index.stores.segments import Segment, embed_in_parts, make_segment, segment_name
from index.weights import MODEL_FILES

log = logging.getLogger(__name__)

SECONDS_TO_CONNECT = 10.0
# Seconds between looks at which nodes there are. Without the node on its own machine Ray ends this
# process after some 15, and without the head after a minute; neither says a word.
LOOK_EVERY = 5.0
AHEAD = 2  # sources on their way for each processor: one in work, one that waits beside it
MOST_BYTES = 1 << 30  # of these sources together
ATTEMPTS = 4  # at one source, where the processes that work on it are lost
GPU_SHARE = 0.25  # for one process: while it cuts texts into tokens it has no use for the GPU

Text = tuple[Document | str, list[str]]  # or why there is none; what was warned of


@contextmanager
def open_cluster(address: str, *, device: str = "") -> Iterator[Cluster]:
    """The cluster at `address`, which is `host:port` of its head or "auto"; this machine must be
    one of its nodes. `device` "cpu" leaves GPUs alone. Raises ClusterError."""
    # Else Ray tries for a quarter of an hour whether something that listens is a cluster after all.
    os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "1")
    try:
        import ray
        from ray._private.services import canonicalize_bootstrap_address
    except ImportError as error:
        raise ClusterError(
            f"--ray {address} needs the extra `ray` ({error.name} missing): "
            "pip install 'grounded-rag[ray]'"
        ) from None
    if address != "auto" and not re.fullmatch(r"[^/\s]+:\d{1,5}", address):
        raise ClusterError(
            f"--ray {address}: expected the address of a cluster's head (host:6379), or auto for "
            "the cluster that runs on this machine"
        )
    try:
        found = canonicalize_bootstrap_address(address)
        _reach(found)
        # Ray puts the working folder first in the path of its workers: it may hold another `index`.
        with chdir(Path(__file__).parents[1]):
            ray.init(found, namespace="grounded-rag", log_to_driver=False, configure_logging=False)
    except Exception as error:  # Ray raises many kinds.
        raise ClusterError(
            f"no Ray cluster at {address} ({_line(error)}): start one with `ray start --head`, and "
            "with `ray start --address=HOST:6379` on each other machine and on this one"
        ) from error
    # What Ray prints there about a node that was lost, `Cluster` says in a line.
    with redirect_stdout(None):
        try:
            yield Cluster(found, device)
        finally:
            ray.shutdown()


class Cluster:
    """What `index.build.build` uses of a cluster."""

    def __init__(self, address: str, device: str = "") -> None:
        self.address = address
        self.nodes = self.processors = self.gpus = 0
        self._looked = time.monotonic()
        self._look()
        self._device = "cuda" if self.gpus and device != "cpu" else "cpu"
        if self._device == "cpu" and device not in ("", "cpu"):
            raise EncoderError(f"--device {device}: no node of the cluster {address} has a GPU")
        self.http = SharedHttp(Endpoints().origins, RetryPolicy())

    def segments(
        self,
        missing: Mapping[str, Source],
        store: SourceStore,
        settings: Settings,
        encoder: Encoder,
        shorten: Callable[[str, str], None],
    ) -> Iterator[tuple[str, Segment | SourceError]]:
        """Every missing segment by name, as it comes from any node, as `index.build.build` wants
        it. Only so many sources are sent as the nodes can work on; what a lost node had is given
        to another."""
        import ray

        again = {"num_cpus": 1, "max_retries": ATTEMPTS - 1}
        # By default Ray ends a process after each task on a GPU, and the next loads the model.
        share = {"num_gpus": GPU_SHARE, "max_calls": 0} if self._device == "cuda" else {}
        reading, embedding = ray.remote(**again)(read), ray.remote(**again, **share)(embed)
        model = ray.put(_model_files(encoder)) if missing else None
        waiting, flying = iter(missing.items()), dict[Any, str]()
        while True:
            while (
                len(flying) < AHEAD * max(1, self.processors)
                and sum(missing[name].size for name in flying.values()) < MOST_BYTES
                and (item := next(waiting, None))
            ):
                name, source = item
                text: Any = cached_document(source, settings), []
                try:
                    if text[0] is None:
                        limits = settings.pdf_seconds, settings.pdf_memory_bytes
                        task = source.id, store.read(source), source.media_type, *limits
                        text = reading.remote(*task)
                except SourceError as error:
                    yield name, error
                    continue
                # In a list the model stays packed until a process needs it.
                flying[embedding.remote(name, source, text, [model], self._device)] = name
            if not flying:
                return
            for reference in ray.wait(list(flying), timeout=LOOK_EVERY)[0]:
                name = flying.pop(reference)
                segment, much = _result(reference, missing[name], settings)
                if much:
                    shorten(name, much)
                yield name, segment
            self._look()

    def _look(self) -> None:
        """See which nodes there are. Raises ClusterError where the cluster is lost."""
        import ray

        if self.nodes and time.monotonic() < self._looked + LOOK_EVERY:
            return
        try:
            _reach(self.address)
            alive = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
            own = alive[ray.get_runtime_context().get_node_id()]
            _reach(f"{own['NodeManagerAddress']}:{own['NodeManagerPort']}")
        except Exception as error:
            raise ClusterError(
                f"the Ray cluster at {self.address} was lost ({_line(error)}): what came from it "
                "is stored; start it again and repeat the command"
            ) from error
        if (lost := self.nodes - len(alive)) > 0:
            log.warning("%d nodes of the cluster were lost: what they had is done again", lost)
        self.nodes, self._looked = len(alive), time.monotonic()
        self.processors, self.gpus = (
            int(sum(node["Resources"].get(kind, 0) for node in alive.values()))
            for kind in ("CPU", "GPU")
        )
        if not self.processors:  # A cluster that grows with its work begins so.
            log.warning("the cluster has no processor now: waiting for a node")


class SharedHttp:
    """An `HttpClient` whose requests one process makes, one by one, for all who use the cluster:
    the pauses between them hold for all together. It runs on the machine of whoever first needed
    it, and ends with their command."""

    def __init__(self, allowed: Collection[str], retry_policy: RetryPolicy) -> None:
        self._allowed, self._policy = allowed, retry_policy
        self._actor: Any = None

    def get(
        self, url: str, *, site: str, limit: int, headers: Mapping[str, str] | None = None
    ) -> Response:
        """See `Http.get`."""
        import ray
        from ray.exceptions import RayActorError, RayTaskError
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        for _ in range(ATTEMPTS):
            if self._actor is None:
                here = ray.get_runtime_context().get_node_id()
                place = NodeAffinitySchedulingStrategy(here, soft=True)
                options = {"name": "http", "get_if_exists": True, "scheduling_strategy": place}
                actor = ray.remote(num_cpus=0)(Http).options(**options)
                self._actor = actor.remote(self._allowed, retry_policy=self._policy)
            asked = self._actor.get.remote(url, site=site, limit=limit, headers=headers)
            try:
                response: Response = ray.get(asked)
            except RayTaskError as error:
                raise error.cause from None
            except RayActorError:
                # Whoever started it ended, or its node. When it last asked is not known, but the
                # longest pause is enough.
                self._actor = None
                time.sleep(max(self._policy.interval.values(), default=0.0))
            else:
                return response
        raise HttpError(f"{site} could not be asked: the cluster lost the process that does so")


def read(source_id: str, data: bytes, media_type: str, seconds: float, memory: int) -> Text:
    """On a node: the text of a source, read in a process of its own within these limits."""
    with _warnings() as warnings:
        reader = _reader(seconds, memory)
        _, reply = reader.call(source_id, (data, media_type.encode()))
        if reader.process.returncode is not None:
            _reader.cache_clear()
    text = Document.from_json(reply.decode()) if isinstance(reply, bytes) else reply.reason
    return text, warnings


def embed(
    name: str, source: Source, text: Text, model: list[Any], device: str
) -> tuple[Document | str, Segment | None, str, list[str]]:
    """On a node: the text again, the segment of this name made of it, how many passages it has
    where these are not all (`passages_to_embed`), and all warnings. Raises
    ClusterError where the programs on the nodes would make another segment than this."""
    document, warnings = text
    if isinstance(document, str):
        return document, None, "", warnings
    encoder = _encoder(*model, device)
    if segment_name(source, document.extractor, encoder.name) != name:
        raise ClusterError(
            f"{socket.gethostname()}, or the node that read {source.id}, has another version of "
            "this program or of a library than where the command runs: install the same on all"
        )
    with _warnings() as more, TemporaryDirectory() as folder:
        passages, much = passages_to_embed(document, encoder)
        vectors = embed_in_parts(Path(folder), name, encoder, passages)
        segment = make_segment(name, document, passages, *vectors)
    return document, segment, much, warnings + more


@cache
def _reader(seconds: float, memory: int) -> ReaderProcess:
    # Kept: to start one takes as long as to read some pages.
    return ReaderProcess("index.documents.extract:extract_to_json", seconds, memory)


@cache
def _encoder(model: Any, device: str) -> LazyEncoder:
    """The encoder whose files Ray holds as `model`, once for a process. On a CPU it computes with
    one thread: there are as many processes as processors."""
    import ray

    with TemporaryDirectory() as folder:
        for name, content in ray.get(model).items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        settings = Settings(encoder=folder, offline=True, device=device)
        encoder = LazyEncoder(settings, threads=1 if device == "cpu" else 0)
        _ = encoder.dimension  # Loads it: the files may go.
    return encoder


def _model_files(encoder: Encoder) -> dict[str, bytes]:
    if not isinstance(encoder, LazyEncoder):
        raise ClusterError(f"the encoder {encoder.name} is not in a folder that nodes can be sent")
    files = (path for pattern in MODEL_FILES for path in encoder.folder.rglob(pattern))
    return {str(path.relative_to(encoder.folder)): path.read_bytes() for path in files}


def _result(
    reference: Any, source: Source, settings: Settings
) -> tuple[Segment | SourceError, str]:
    """What the nodes made of a source, its text stored, and how many passages, where not all are
    embedded. Raises RagError where that is nothing and the source is not to blame."""
    import ray
    from ray import exceptions as of_ray

    try:
        document, segment, much, warnings = ray.get(reference)
    except of_ray.RayTaskError as error:
        cause: Any = error
        while isinstance(cause, of_ray.RayTaskError):
            cause = cause.cause
        if isinstance(cause, RagError):
            raise cause from None
        raise ClusterError(f"a node failed at {source.id} ({_line(cause)})") from error
    except (of_ray.WorkerCrashedError, of_ray.NodeDiedError, of_ray.OutOfMemoryError) as error:
        lost = f"the cluster lost {ATTEMPTS} processes over it ({type(error).__name__})"
        return SourceError(source.id, lost), ""
    except of_ray.RayError as error:
        raise ClusterError(f"the cluster failed at {source.id} ({_line(error)})") from error
    for warning in warnings:
        log.warning("%s", warning)
    if isinstance(segment, Segment):
        cache_document(document, source, settings)
        return segment, much
    return SourceError(source.id, document), ""


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """What the program warns of, to be said where the command runs."""
    handler, logger = WarningLog(), logging.getLogger("index")
    logger.addHandler(handler)
    try:
        yield handler.messages
    finally:
        logger.removeHandler(handler)


def _reach(address: str) -> None:
    """Raises OSError where nothing listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_CONNECT).close()


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split()):.300}"
