"""What others take of the cores: counted by the kernel, less what this process and its children take."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from lanewise.host import core_use
from lanewise.host.core_use import Counted, OthersShare, counted

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells on Linux")

_BURN = "print(flush=True)\nwhile True: pass"


@contextmanager
def burning() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", _BURN], stdout=subprocess.PIPE) as burner:
        assert burner.stdout is not None
        burner.stdout.readline()
        yield burner.pid
        burner.kill()


def burn(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def used(pid: int | None = None) -> float:
    """How many seconds that process took, by the same means."""
    return core_use._ticks(pid or os.getpid()) / os.sysconf("SC_CLK_TCK")


def stopped(pid: int) -> None:
    """Stop that child and wait until it stands still."""
    os.kill(pid, signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)


def test_the_own_children_are_not_others_and_those_of_others_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def others() -> tuple[float, float]:
        """With this process's children among its own, and with them among the others."""
        # One look at the kernel's count for both, and a child that stands still: this process may
        # wait for a core between any two lines, and must not take that for somebody's work.
        seen = tmp_path / "stat"
        seen.write_bytes(Path("/proc/stat").read_bytes())
        with monkeypatch.context() as patched:
            patched.setattr(core_use, "_STAT", seen)
            mine = counted()
            patched.setattr(core_use, "children", lambda _pid=None: [])
            theirs = counted()
        assert mine is not None
        assert theirs is not None
        return mine.others_s, theirs.others_s

    with burning() as pid:
        stopped(pid)
        before, took_before = others(), used(pid)
        os.kill(pid, signal.SIGCONT)
        while used(pid) - took_before < 0.3:
            burn(0.05)
        stopped(pid)
        after, took = others(), used(pid) - took_before
    as_own, as_other = (later - earlier for earlier, later in zip(before, after, strict=True))
    assert as_other - as_own == pytest.approx(took, abs=0.1)


@pytest.mark.parametrize(
    ("others_s", "idle_s", "cores", "share"),
    [
        (1.0, 0.0, 2, 0.5),
        (0.5, 0.5, 2, 0.0),  # as much was free
        (32.0, 30.0, 64, 2 / 64),
        (0.0, 2.0, 2, 0.0),
        (5.0, 0.0, 2, 1.0),  # no more than there is, whatever rounding makes of it
    ],
)
def test_only_what_others_took_beyond_what_stood_idle_counts(
    monkeypatch: pytest.MonkeyPatch, others_s: float, idle_s: float, cores: int, share: float
) -> None:
    seen = iter([Counted(70.0, 900.0, cores), Counted(70.0 + others_s, 900.0 + idle_s, cores)])
    monkeypatch.setattr(core_use, "counted", lambda: next(seen))
    moments = iter([10.0, 11.0])
    monkeypatch.setattr(core_use, "time", SimpleNamespace(monotonic=lambda: next(moments)))
    assert OthersShare().share() == pytest.approx(share)


def test_too_short_a_time_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # A clock of its own: between two looks this process may stand still for as long as says something.
    moments = itertools.count(10.0, 0.1)
    monkeypatch.setattr(core_use, "time", SimpleNamespace(monotonic=lambda: next(moments)))
    others = OthersShare()
    assert others.share() == 0
    assert others.share() == 0


def test_where_the_kernel_does_not_tell_nobody_else_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no /proc here")

    monkeypatch.setattr(core_use.os, "sched_getaffinity", refuse)
    assert OthersShare().share() == 0
