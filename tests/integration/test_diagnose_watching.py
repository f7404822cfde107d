"""What the kernel says of threads that come and go, of stopped programs, and when it says nothing."""

import os
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lanewise.diagnose import family as families
from lanewise.diagnose.core_meter import CoreMeter
from lanewise.diagnose.family import Family
from lanewise.diagnose.kernel_view import KernelThread
from lanewise.diagnose.open_files import many_open_files
from lanewise.diagnose.session import ProcessRecord
from lanewise.diagnose.target import exists
from lanewise.diagnose.watched import WatchedThreads
from lanewise.errors import DiagnoseError

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="other processes are read through /proc"
)

COMPUTES = """
import os, sys, threading, time
stay = threading.Event()

def compute(then):
    end = time.thread_time() + 0.3
    while time.thread_time() < end: pass
    print("computed", flush=True)
    then()

print("begun", flush=True)
for line in sys.stdin:
    thread = threading.Thread(
        target=compute, args=(stay.wait if line == "stay\\n" else int,), daemon=True
    )
    thread.start()
    if line != "stay\\n":
        while len(os.listdir("/proc/self/task")) > 1: pass
        print("ended", flush=True)
"""


@pytest.fixture
def computing():
    """A process that starts a thread when told; says when that has computed for 0.3 s, and ended."""
    with subprocess.Popen(
        [sys.executable, "-c", COMPUTES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def tell(word, *answers):
            process.stdin.write(f"{word}\n")
            process.stdin.flush()
            for answer in answers:
                assert process.stdout.readline() == f"{answer}\n"

        try:
            assert process.stdout.readline() == "begun\n"
            yield process.pid, tell
        finally:
            process.kill()


def record_of(pid):
    return ProcessRecord(pid=pid, command="")


def test_a_thread_that_begins_between_two_listings_is_counted_from_its_beginning(computing):
    pid, tell = computing
    record = record_of(pid)
    threads = WatchedThreads(record)
    threads.refresh(0)
    tell("stay", "computed")
    threads.refresh(60_000_000)
    threads.close()
    first, new = record.threads
    assert (first.first_us, first.last_us) == (0, 60_000_000)
    assert new.run_ns >= 290e6
    assert 0 <= new.first_us <= new.last_us - 290_000


def test_a_thread_that_was_there_before_is_counted_from_now(computing):
    pid, tell = computing
    tell("stay", "computed")
    record = record_of(pid)
    threads = WatchedThreads(record)
    threads.refresh(0)
    threads.refresh(1_000)
    threads.close()
    assert [thread.first_us for thread in record.threads] == [0, 0]
    assert max(thread.run_ns for thread in record.threads) < 290e6


def test_what_threads_computed_that_nobody_saw_is_told(computing):
    pid, tell = computing
    record = record_of(pid)
    threads = WatchedThreads(record)
    threads.refresh(0)
    tell("end", "computed", "ended")
    threads.refresh(60_000_000)
    threads.close()
    assert len(record.threads) == 1
    assert any("came and went" in one for one in record.weaknesses)


def open_files():
    return sorted(one.name for one in Path("/proc/self/fd").iterdir())


def test_files_that_were_opened_are_closed_when_the_rest_cannot_be():
    before = open_files()
    with pytest.raises(OSError, match="No such file"):
        KernelThread(os.getpid(), 0)
    assert open_files() == before


def test_with_too_many_files_open_nothing_is_taken_for_an_end(computing):
    pid, _ = computing
    record = record_of(pid)
    threads = WatchedThreads(record)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        there = exists(pid)
        found = threads.find(pid, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    threads.close()
    assert there
    assert found is None
    assert any("too many files" in one for one in record.weaknesses)


def test_a_process_that_has_ended_is_no_more_when_nobody_has_reaped_it():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert Path(f"/proc/{process.pid}/task").exists()
        assert not exists(process.pid)


def test_what_cannot_be_looked_at_is_tried_less_and_less_until_it_is_another_program(monkeypatch):
    tried = []

    def refuse(pid, began_ns, source):
        tried.append(pid)
        raise DiagnoseError("it is no Python")

    now_s, executable = [100.0], ["/bin/one"]
    monkeypatch.setattr(families, "attach", refuse)
    monkeypatch.setattr(families, "executable_of", lambda pid: executable[0])
    monkeypatch.setattr(families, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    family = Family(os.getpid(), follow=False, source="auto", began_ns=0)
    for _ in range(100):
        family.current()
        now_s[0] += 0.25
    assert 5 < len(tried) < 15
    executable[0] = "/bin/two"
    before = len(tried)
    family.current()
    assert len(tried) == before + 1
    assert family.problems == {os.getpid(): "it is no Python"}


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to be somebody else"
)
def test_an_ordinary_user_may_read_the_clocks_of_what_is_theirs():
    paranoid = Path("/proc/sys/kernel/perf_event_paranoid")
    if not paranoid.exists() or int(paranoid.read_text()) > 2:
        pytest.skip("this kernel gives performance counters to nobody but root")
    try:
        CoreMeter(os.getpid()).close()
    except OSError:
        pytest.skip("no performance counters can be had here, as in most containers")
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "True\n", done.stderr


# Imports while it still may read everything, and then becomes nobody, whose child it looks at.
AS_NOBODY = """
import os, subprocess
from lanewise.diagnose.core_meter import CoreMeter
os.setgroups([]); os.setgid(65534); os.setuid(65534)
with subprocess.Popen(["sh", "-c", "while :; do :; done"]) as child:
    try:
        meter = CoreMeter(child.pid)
        while not (running := meter.running()):
            pass
        print(running)
    finally:
        child.kill()
"""


def test_there_is_room_for_the_files_of_many_threads_and_none_is_kept():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        with many_open_files():
            inside = resource.getrlimit(resource.RLIMIT_NOFILE)
        after = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert inside[0] >= min(before[1], 65_536) or before[1] == resource.RLIM_INFINITY
    assert after == (256, before[1])
