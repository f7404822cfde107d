"""Shares are of the time that the counters are of, however few looks there are."""

import json
import subprocess
import sys

import pytest

from lanewise.cli.main import main

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="other processes are read through /proc"
)
SLEEPER = "import time\nprint('begun', flush=True)\ntime.sleep(600)"


def test_one_thread_that_sleeps_sleeps_for_the_whole_time(tmp_path):
    path = tmp_path / "found.json"
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE, text=True
    ) as program:
        try:
            assert program.stdout.readline() == "begun\n"
            options = ["--rate", "10", "--duration", "1s", "--json", str(path)]
            for _ in range(3):  # the whole second may pass without a look
                assert main(["diagnose", "--pid", str(program.pid), *options]) == 0
                found = json.loads(path.read_text())
                if found["functions"]:
                    break
        finally:
            program.kill()
    [function] = found["functions"]
    assert sum(function["shares"].values()) == pytest.approx(1.0, abs=0.002)
