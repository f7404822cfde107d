"""A Ray cluster for tests, in a program of its own."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import _lanewise_worker
from lanewise.lanes.cluster.private import private_environment, remove

_PROGRAM = Path(__file__).with_name("ray_program.py")
_SOURCE = Path(_lanewise_worker.__file__).parents[1]


class RayCluster:
    """Several nodes on this machine, on the loopback address.

    Used as a context manager. The environment that its processes have is put into this process's for as
    long, for a gateway needs the cluster's secret.
    """

    def __init__(self, cpus=2, port=0):
        self._cpus = cpus
        self._port = port
        self._directory = tempfile.mkdtemp(prefix="lanewise-test-", dir="/tmp")
        self._before = {}
        self.address = ""

    def __enter__(self):
        # The secret stays the same, so that a cluster that comes back is the same one to who knows it.
        mine = {**private_environment(), "RAY_AUTH_TOKEN": "4c" * 32}
        # Ray's workers find lanewise and the tests where this process does.
        mine["PYTHONPATH"] = os.pathsep.join([str(_SOURCE), *filter(None, sys.path)])
        self._before = {name: os.environ.get(name) for name in mine}
        os.environ.update(mine)
        self._errors = open(Path(self._directory, "errors.txt"), "w+b")  # noqa: PTH123
        self._process = subprocess.Popen(
            [sys.executable, _PROGRAM, self._directory, str(self._cpus), str(self._port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self.address = self._answer()
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()
        remove(self._directory)
        for name, value in self._before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)

    def add(self):
        """Add a node and return its number; the head has 1."""
        return self._ask("add")

    def kill(self, number):
        """Kill a node."""
        self._ask("kill", number)

    def end_the_head(self):
        """Kill the whole cluster at once."""
        self._process.kill()

    def _ask(self, *what):
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            words = self._errors.read()[-2_000:].decode()
            raise RuntimeError(f"the test's Ray cluster has ended: {words}")
        return json.loads(line)
