"""A Ray cluster of several nodes on this machine, each with a raylet of its own; it is told on stdin.

A program of its own: Ray leaves threads and handlers in the process that it is used from.
"""

import json
import os
import sys
import threading
from pathlib import Path

from ray.cluster_utils import Cluster

from _lanewise_worker.orphans import become_subreaper
from lanewise.lanes.cluster.private import clear_away

_OBJECT_STORE_BYTES = 150_000_000


class Program:
    """Owner: the main thread."""

    def __init__(self, directory, cpus, port):
        self._port = port
        self._directory = directory
        self._cpus = cpus
        self._nodes = {}
        self._cluster = Cluster()
        self._number = 0

    def add(self):
        """Add a node; the first one is the head."""
        options = {"num_cpus": self._cpus, "object_store_memory": _OBJECT_STORE_BYTES}
        if not self._nodes:
            options |= {"temp_dir": self._directory, "include_dashboard": False}
            if self._port:
                options["gcs_server_port"] = self._port
        node = self._cluster.add_node(node_ip_address="127.0.0.1", **options)
        self._number += 1
        self._nodes[self._number] = node
        return self._number

    def kill(self, number):
        """Kill a node's processes, as a machine that goes away does."""
        self._cluster.remove_node(self._nodes.pop(number), allow_graceful=False)
        return number

    def address(self):
        """Where the cluster is reached."""
        return self._cluster.address


def _main(directory, cpus, port):
    become_subreaper()
    # There Ray notes which cluster a program joins that names none: for nobody but this one.
    os.environ["RAY_TMPDIR"] = directory
    Path(directory, "ray").mkdir()
    program = Program(directory, cpus, port)
    program.add()
    _answer(program.address())
    for line in sys.stdin:
        what, *args = json.loads(line)
        _answer(getattr(program, what)(*args))
    # Ended by whoever started it, or left behind by it: in both cases nothing stays.
    threading.Timer(20, os._exit, [1]).start()
    clear_away(directory)
    os._exit(0)


def _answer(value):
    sys.__stdout__.write(json.dumps(value) + "\n")
    sys.__stdout__.flush()


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
