"""A Ray cluster of two nodes, one processor each, on 127.0.0.1."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.parts.processes import program

# Ray reads them at its import. Nothing is reported to its makers, and the second one, for other
# systems, keeps all connections on 127.0.0.1.
os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}

# What a busy machine needs, in place of half a minute.
PATIENT = {
    "RAY_gcs_server_port_wait_time_s": "120",
    "RAY_agent_register_timeout_ms": "120000",
}

PROGRAM = """
import json, sys
from ray.cluster_utils import Cluster
small = {"num_cpus": 1, "object_store_memory": 80 << 20, "wait": False}
cluster = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **small})
nodes = cluster.head_node, cluster.add_node(**small)
cluster.wait_for_nodes(120)
raylets = [node.all_processes["raylet"][0].process.pid for node in nodes]
print(json.dumps([cluster.address, *raylets]), flush=True)
sys.stdin.read()
cluster.shutdown()
"""


class RayNodes(NamedTuple):
    """`head` and `other` are the processes whose end is that of their node."""

    address: str
    head: int
    other: int


@contextmanager
def ray_nodes() -> Iterator[RayNodes]:
    """The cluster, for as long as the context lasts."""
    with program(PROGRAM, **PATIENT) as process:
        assert process.stdout is not None
        yield RayNodes(*json.loads(process.stdout.readline()))
