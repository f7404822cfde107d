"""What others take of the cores: counted by the kernel, less what this process and its children take."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lanewise.host import core_use
from lanewise.host.core_use import OthersShare

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


def taken(others: OthersShare, pid: int) -> float:
    """How much of the usable cores that process takes, by the same means."""
    ticks = core_use._ticks(pid)
    began = time.monotonic()
    others.share()
    burn(0.5)
    return (core_use._ticks(pid) - ticks) / 100 / (time.monotonic() - began) / cores()


def cores() -> int:
    return len(os.sched_getaffinity(0))


def test_the_own_children_are_not_others_and_those_of_others_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with burning() as pid:
        mine = OthersShare()
        monkeypatch.setattr(core_use, "children", lambda _pid=None: [])
        theirs = OthersShare()  # to which the burner is no child
        share = taken(theirs, pid)
        as_other = theirs.share()
        monkeypatch.undo()
        as_own = mine.share()
    assert as_other - as_own == pytest.approx(share, abs=0.15)


def test_too_short_a_time_says_nothing() -> None:
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
