"""Cores, quotas, and what others take of them."""

import os
import types

import pytest
from tests.unit.diagnosed import Recording, frame

from lanewise.diagnose import capacity
from lanewise.diagnose.capacity import Surroundings, quota_of
from lanewise.diagnose.session import Room, Session

PID = os.getpid()
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="the kernel's files are Linux's"
)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def machine(tmp_path):
    return tmp_path / "proc", tmp_path / "cgroup"


def test_the_tightest_quota_of_all_groups_around_counts(machine):
    proc, tree = machine
    write(proc / "7" / "cgroup", "0::/kubepods/pod1/app\n")
    write(tree / "kubepods" / "cpu.max", "max 100000\n")
    write(tree / "kubepods" / "pod1" / "cpu.max", "150000 100000\n")
    write(tree / "kubepods" / "pod1" / "app" / "cpu.max", "400000 100000\n")
    found = quota_of(7, proc, tree)
    assert found.cores == 1.5
    assert found.usage == tree / "kubepods" / "pod1" / "cpu.stat"


def test_inside_a_container_the_own_group_is_the_root(machine):
    proc, tree = machine
    write(proc / "7" / "cgroup", "0::/docker/not/mounted/here\n")
    write(tree / "cpu.max", "50000 100000\n")
    assert quota_of(7, proc, tree).cores == 0.5


def test_the_first_version_of_cgroups_has_quotas_too(machine):
    proc, tree = machine
    write(proc / "7" / "cgroup", "4:memory:/app\n3:cpu,cpuacct:/app\n")
    write(tree / "cpu,cpuacct" / "app" / "cpu.cfs_quota_us", "200000\n")
    write(tree / "cpu,cpuacct" / "app" / "cpu.cfs_period_us", "100000\n")
    write(tree / "cpu,cpuacct" / "app" / "cpuacct.usage", "1500000000\n")
    found = quota_of(7, proc, tree)
    assert found.cores == 2.0
    assert found.used_s() == 1.5


@pytest.mark.parametrize("text", ["max 100000\n", "", "nonsense\n"])
def test_without_a_quota_there_is_none(machine, text):
    proc, tree = machine
    write(proc / "7" / "cgroup", "0::/app\n")
    write(tree / "app" / "cpu.max", text)
    assert quota_of(7, proc, tree) is None
    assert quota_of(8, proc, tree) is None


def cores():
    return sorted(os.sched_getaffinity(PID))


def stat(proc, busy_s, program_s):
    """Counters in which the first core was busy for so long, and the program ran for so long."""
    lines = ["cpu 1 1 1 1 1 1 1 1 0 0"]
    for at, core in enumerate(cores()):
        ticks = int(busy_s * TICKS) if at == 0 else 0
        lines.append(f"cpu{core} {ticks} 0 0 777 777 0 0 0 0 0")
    write(proc / "stat", "\n".join(lines))
    fields = ["S", *["0"] * 10, str(int(program_s * TICKS)), "0"]
    write(proc / str(PID) / "stat", f"{PID} (py (x) thon) {' '.join(fields)}\n")


def record(run_s):
    recording = Recording(cores=len(cores()))
    recording.thread([("python_gil", (frame(),))])
    recording.record.threads[0].run_ns = int(run_s * 1e9)
    return recording.record


@pytest.fixture
def clock(monkeypatch):
    now = types.SimpleNamespace(s=0.0)
    fake = types.SimpleNamespace(monotonic=lambda: now.s, process_time=lambda: 0.0)
    monkeypatch.setattr(capacity, "time", fake)
    return now


def test_what_others_use_is_what_the_program_did_not(machine, clock):
    stat(machine[0], 100, 50)
    surroundings = Surroundings(PID, *machine)
    stat(machine[0], 108, 53)
    clock.s = 10.0
    one = record(3.0)
    surroundings.note([one])
    assert one.rooms == [Room(float(len(cores())), pytest.approx(0.5, abs=0.01))]


def test_threads_that_ended_unseen_are_the_programs_own(machine, clock):
    stat(machine[0], 100, 50)
    surroundings = Surroundings(PID, *machine)
    stat(machine[0], 108, 58)
    clock.s = 10.0
    one = record(0.1)
    surroundings.note([one])
    assert [room.others for room in one.rooms] == [0.0]


def test_a_quota_is_a_room_of_its_own(machine, clock):
    proc, tree = machine
    write(proc / str(PID) / "cgroup", "0::/app\n")
    write(tree / "app" / "cpu.max", "50000 100000\n")
    write(tree / "app" / "cpu.stat", "usage_usec 1000000\nuser_usec 1\n")
    stat(proc, 100, 50)
    surroundings = Surroundings(PID, proc, tree)
    write(tree / "app" / "cpu.stat", "usage_usec 6000000\nuser_usec 1\n")
    stat(proc, 103, 53)
    clock.s = 10.0
    one = record(3.0)
    one.cores = 1
    surroundings.note([one])
    assert one.rooms[1] == Room(0.5, pytest.approx(0.2, abs=0.01))


def test_rooms_come_back_from_a_session(tmp_path):
    one = record(1.0)
    one.rooms = [Room(2.0, 0.5)]
    made = Session("", "", [], {}, 200.0, [one])
    made.save(tmp_path / "session.json")
    assert Session.load(tmp_path / "session.json") == made


def test_sessions_from_before_rooms_are_still_read(tmp_path):
    made = Session("", "", [], {}, 200.0, [record(1.0)])
    path = tmp_path / "session.json"
    made.save(path)
    path.write_text(path.read_text().replace(',"rooms":[]', ""))
    assert Session.load(path).processes[0].rooms == []
