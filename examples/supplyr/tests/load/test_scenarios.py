"""What scenarios make of what they saw; and one of them in full, small, on the real service."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from held_ports import held_port
from supplyr_load import processes
from supplyr_load.data import cheap_requests, ensure_directory
from supplyr_load.plots import Curve, line_plot, tail_plot
from supplyr_load.processes import Facts
from supplyr_load.results import Result, Table, Verdict
from supplyr_load.scenarios.mixed import lag_quantile
from supplyr_load.scenarios.overload import recovery_s
from supplyr_load.scenarios.soak import slope
from supplyr_load.server import Options, Server
from supplyr_load.wire import Answer

# What is there against standstills must not run out where a server stands still.
pytestmark = pytest.mark.timeout(600)
PATIENCE_S = 100.0


def test_lag_between_two_looks() -> None:
    before = [[0.001, 90.0], [0.01, 5.0], [0.1, 5.0]]
    after = [[0.001, 190.0], [0.01, 5.0], [0.1, 6.0]]
    assert lag_quantile(before, after, 0.5) == 0.001
    assert lag_quantile(before, after, 1.0) == 0.1
    assert lag_quantile(after, after, 0.99) in (0.001, 0.0)


def test_recovery_counts_from_the_overloads_end() -> None:
    bad = ((3.0, "heavy", "shed"), (10.4, "heavy", "shed"), (10.1, "cheap.x", "timeout"))
    assert recovery_s(bad, 10.0) == pytest.approx(0.4)
    assert recovery_s(bad, 11.0) == 0.0


def test_a_leak_has_its_slope() -> None:
    samples = [(float(at), Facts(0.0, 1000 + 7 * at, 0, 0, 1)) for at in range(50)]
    assert slope(samples) == pytest.approx(7.0)
    assert slope(samples[:1]) == 0.0


def test_plots_are_well_formed_and_show_every_curve() -> None:
    points = [(share, 0.001 * 10 ** (3 * share)) for share in (0.02, 0.5, 0.9, 0.99, 0.999)]
    svg = tail_plot('latency of <"all">', [Curve("idle & more", points), Curve("handler", points)])
    root = ElementTree.fromstring(svg)  # noqa: S314 - because: our own text
    assert len(root.findall(".//{*}polyline")) == 2
    flat = line_plot("goodput", [Curve("pool", [(0.0, 0.0), (1.0, 4.0)])], [(0.0, "a"), (1.0, "b")])
    ElementTree.fromstring(flat)  # noqa: S314 - because: our own text


def test_a_result_says_what_was_missed(tmp_path: Path) -> None:
    result = Result("S1", "It", Table(("a", "b"), [("x", "1")]), [Verdict("asked", "seen", False)])
    assert not result.passed
    assert "**missed:** asked: seen" in result.markdown()
    assert "| x | 1 |" in result.markdown()
    assert result.write(tmp_path, {"python": "3"}).read_text().count('"passed": false') == 1


def test_marked_processes_are_found_when_their_parent_is_gone() -> None:
    inner = "import sys, time; print('up', flush=True); sys.stdin.read()"
    outer = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {inner!r}])"
    mark = f"test-{os.getpid()}"
    environment = {**os.environ, processes.MARK: mark}
    started = subprocess.Popen(  # noqa: S603 - because: our own command line
        [sys.executable, "-c", outer],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert started.stdout is not None
    assert started.stdin is not None
    assert started.stdout.readline() == b"up\n"
    started.wait()
    orphans = processes.marked(mark)
    assert len(orphans) == 1
    assert processes.facts(mark).processes == 1
    started.stdin.close()
    assert processes.gone_within(mark, PATIENCE_S) == []
    started.stdout.close()


@pytest.mark.parametrize("build", ["lanewise", "handler", "threads", "pool"])
def test_every_build_answers_the_same(
    build: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supplyr_load.server._START_S", PATIENCE_S)
    shared = tmp_path_factory.getbasetemp() / "load-data"
    shared.mkdir(exist_ok=True)
    folder = ensure_directory(shared, 60)
    cheap = cheap_requests(folder)
    assert {one.kind for one in cheap} == {"cheap.profile", "cheap.search", "cheap.suggest"}
    # However slow the machine, no heavy work is refused.
    patient = {"SUPPLYR_QUEUE_TIMEOUT_S": str(PATIENCE_S)}
    with held_port() as port:
        monkeypatch.setattr("supplyr_load.server.free_port", lambda: port)
        with Server(Options(build, folder, environment=patient)) as server:
            for kind in ("cheap.profile", "cheap.search", "cheap.suggest"):
                one = next(one for one in cheap if one.kind == kind)
                target = one.data.split(b" ", 2)[1].decode()
                assert server.send("GET", target, timeout_s=PATIENCE_S)[0] == 200
            heavy = "/compare/heavy/price-list?size=20"
            status, body = server.send("GET", heavy, timeout_s=PATIENCE_S)
            assert Answer(status, body[:5], True) == Answer(200, b"%PDF-", True)
            noted = "/compare/noted?label=one&size=20"
            assert server.send("GET", noted, timeout_s=PATIENCE_S)[0] == 200
            assert server.state()["asked"] == 2
            assert server.await_calm(PATIENCE_S) < PATIENCE_S
            mark = server.mark
    # What was killed needs a core once more to be gone.
    assert processes.gone_within(mark, PATIENCE_S) == []
