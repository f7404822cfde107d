"""What a runtime promises of calls on the cluster lane, over a real Ray."""

import asyncio
import signal

import far_tasks
import pytest

from lanewise import LaneUnavailableError, Runtime, TaskTimeoutError, WorkerDiedError

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def runner():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def rt(ray_cluster, runner):
    """One runtime for all of these: to reach the cluster takes longer than any test."""
    runtime = Runtime(
        cluster=ray_cluster.address,
        lanes=("thread", "cluster"),
        propagate=[far_tasks.REQUEST],
    )
    runner.run(runtime.__aenter__())
    yield runtime
    runner.run(runtime.__aexit__(None, None, None))


@pytest.fixture
def far(rt):
    return rt.with_options(lane="cluster")


def test_what_a_call_says_arrives_before_its_result(far, runner, capsys, caplog):
    async def scenario():
        far_tasks.REQUEST.set("request 7")
        return await far.run(far_tasks.say, "here")

    with pytest.warns(UserWarning, match="warned here"):
        assert runner.run(scenario()) == "request 7"
    said = capsys.readouterr()
    assert (said.out, said.err) == ("printed here\n", "complained here\n")
    assert [record.getMessage() for record in caplog.records if record.name == "far"] == [
        "logged here"
    ]


def test_a_crash_names_node_and_signal_and_costs_nothing_else(far, runner):
    async def scenario():
        others = asyncio.gather(*(far.run(far_tasks.pid) for _ in range(8)))
        with pytest.raises(WorkerDiedError) as caught:
            await far.run(far_tasks.crash, signal.SIGSEGV)
        await others
        return caught.value

    error = runner.run(scenario())
    assert error.signal == signal.SIGSEGV
    assert "127.0.0.1" in error.node
    assert error.node in str(error)


def test_a_timeout_stops_the_call_where_it_runs(far, runner, tmp_path):
    async def scenario():
        path = tmp_path / "calls"
        # The time is waited for in full, so the shortest comes first; a busy machine may need more of it
        # until the call has begun.
        for timeout_s in (2, 10, 40):
            with pytest.raises(TaskTimeoutError):
                await far.with_options(timeout_s=timeout_s).run(far_tasks.note, str(path))
            begun = path.read_text().split() if path.exists() else []
            if begun:
                break
        return [int(line) for line in begun]

    pids = runner.run(scenario())
    assert pids
    for pid in pids:
        runner.run(_gone(pid))


async def _gone(pid):
    """Wait until a process has ended; the test's own time limit ends the waiting."""
    while _alive(pid):
        await asyncio.sleep(0.01)


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_map_loses_the_item_that_crashed_and_no_other(far, runner):
    async def scenario():
        got, items = [], far.map(far_tasks.crash_at, range(10))
        try:
            async for item in items:
                got.append(item)  # noqa: PERF401 - because: what came before the error is looked at
        except WorkerDiedError:
            return got

    assert runner.run(scenario()) == [0, 1, 2, 3, 4]


def test_map_gives_every_result_in_order(far, runner):
    async def scenario():
        return [item async for item in far.map(abs, range(-5_000, 0))]

    assert runner.run(scenario()) == list(range(5_000, 0, -1))


def test_a_shared_array_is_read_only_there_and_an_argument_is_not(far, runner):
    numpy = pytest.importorskip("numpy")

    async def scenario():
        array = numpy.ones(200_000)
        handle = far.share(array)
        shared = await far.run(far_tasks.total, handle)
        again = await far.run(far_tasks.total, handle)
        changed = await far.run(far_tasks.change, array)
        return shared, again, changed[0], array[0]

    assert runner.run(scenario()) == ((200_000.0, False), (200_000.0, False), 7.0, 1.0)


def test_a_small_shared_object_crosses_too(far, runner):
    async def scenario():
        return await far.run(sorted, far.share([3, 1, 2]))

    assert runner.run(scenario()) == [1, 2, 3]


def test_a_call_gets_the_cpus_that_it_asks_for(far, runner):
    async def scenario():
        return await asyncio.gather(
            far.run(far_tasks.wide), far.run(far_tasks.wide), far.run(abs, -1)
        )

    assert runner.run(scenario()) == ["wide", "wide", 1]


def test_a_call_that_no_node_could_run_is_told_so(far, runner):
    with pytest.raises(LaneUnavailableError, match=r"asks for 64 CPUs.*the largest have 2 CPUs"):
        runner.run(far.run(far_tasks.too_wide))


def test_statistics_show_the_nodes(rt, far, runner):
    runner.run(far.run(abs, -1))
    cluster = rt.statistics().cluster
    (node,) = cluster.nodes
    assert (node.address, node.cpus, node.calls, node.used) == ("127.0.0.1", 2, 0, 0)
    assert node.done > 0
    assert node.bytes_in > 0
    assert cluster.unavailable is None


def test_what_has_no_room_here_goes_there(rt, runner):
    async def scenario():
        # Known to be long and to hold the lock: threads are no place for it beside each other.
        for _ in range(30):
            await rt.run(far_tasks.busy, 0.005)
        await asyncio.gather(*(rt.run(far_tasks.busy, 0.02) for _ in range(20)))
        return rt.explain(far_tasks.busy, 0.02)

    told = runner.run(scenario())
    assert "cluster" in told, told
