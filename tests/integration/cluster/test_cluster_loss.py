"""Nodes, clusters and programs that go away, as an operator would see it."""

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import far_tasks
import pytest
from ray_cluster import RayCluster

from lanewise import LaneUnavailableError, Runtime, WorkerDiedError

pytestmark = pytest.mark.timeout(240)

_HERE = Path(__file__).parent


async def _until(is_so):
    """Wait for something; the test's own time limit ends the waiting."""
    while not is_so():
        await asyncio.sleep(0.02)


def _lines(path):
    return path.read_text().split() if path.exists() else []


def test_a_lost_node_costs_the_calls_that_it_had_and_a_new_one_is_used(tmp_path, caplog):
    notes, retried = tmp_path / "notes", tmp_path / "retried"

    async def scenario(cluster):
        async with Runtime(cluster=cluster.address, lanes=("cluster",), grace_s=0) as rt:
            held = [asyncio.ensure_future(rt.run(far_tasks.note, str(notes))) for _ in range(2)]
            await _until(lambda: len(_lines(notes)) == 2)  # the head has no room left
            second = await asyncio.to_thread(cluster.add)
            once = asyncio.ensure_future(rt.run(far_tasks.note, str(notes)))
            again = asyncio.ensure_future(rt.run(far_tasks.note_or_return, str(retried), 2))
            await _until(lambda: len(_lines(notes)) == 3 and len(_lines(retried)) == 1)
            await asyncio.to_thread(cluster.kill, second)
            with pytest.raises(WorkerDiedError, match=r"the node .* was lost") as caught:
                await once
            assert "127.0.0.1" in caught.value.node
            assert rt.statistics().cluster.lost_nodes == 1
            assert not any(one.done() for one in held)
            held.pop().cancel()  # what may be started again goes to the place that this one leaves
            assert await again == "at last"
            assert len(set(_lines(retried))) == 2
            assert len(_lines(notes)) == 3, "a call was started twice"
            await asyncio.to_thread(cluster.add)
            await _until(lambda: len(rt.statistics().cluster.nodes) == 2)
            assert await asyncio.gather(*(rt.run(abs, -n) for n in range(20))) == list(range(20))

    with RayCluster(cpus=2) as cluster:
        asyncio.run(scenario(cluster))
    assert any("has lost its node" in record.getMessage() for record in caplog.records)


def test_while_the_cluster_is_away_calls_stay_here_and_then_go_there_again(caplog):
    async def scenario(cluster):
        lanes = ("thread", "process", "cluster")
        async with Runtime(cluster=cluster.address, lanes=lanes, processes=1) as rt:
            far = rt.with_options(lane="cluster")
            assert await far.run(abs, -3) == 3
            await asyncio.to_thread(cluster.end_the_head)
            await _until(lambda: rt.statistics().cluster.unavailable is not None)
            assert await rt.run(abs, -4) == 4
            with pytest.raises(LaneUnavailableError, match="pinned to the cluster lane"):
                await far.run(abs, -3)
            port = int(cluster.address.rpartition(":")[2])
            again = RayCluster(cpus=1, port=port)
            await asyncio.to_thread(again.__enter__)
            try:
                await _until(lambda: rt.statistics().cluster.unavailable is None)
                assert await far.run(abs, -3) == 3
            finally:
                await asyncio.to_thread(again.__exit__)

    with caplog.at_level(logging.WARNING, "lanewise"), RayCluster(cpus=1) as cluster:
        asyncio.run(scenario(cluster))
    told = [one for one in caplog.records if "calls stay on this machine" in one.getMessage()]
    assert told


def test_a_cluster_that_is_not_there_is_told_and_does_without():
    async def scenario():
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{unused.getsockname()[1]}"
            with pytest.warns(UserWarning, match="until it can be used"):
                rt = await Runtime(
                    cluster=address, lanes=("process", "cluster"), processes=1
                ).__aenter__()
        try:
            assert await rt.run(abs, -4) == 4
        finally:
            await rt.__aexit__(None, None, None)

    asyncio.run(scenario())


def test_a_private_ray_leaves_nothing_when_its_program_is_killed(tmp_path):
    program = subprocess.Popen(
        [sys.executable, _HERE / "private_program.py"], stdout=subprocess.PIPE, text=True
    )
    try:
        facts = json.loads(program.stdout.readline())
        assert facts["listening"], "no port was found, so the next line would prove nothing"
        assert facts["elsewhere"] == []
        program.send_signal(signal.SIGKILL)
    finally:
        program.kill()
        program.wait()
        program.stdout.close()
    asyncio.run(
        _until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in facts["processes"]))
    )
    asyncio.run(_until(lambda: not os.path.exists(facts["directory"])))  # noqa: PTH110 - because: as a command would


def test_a_program_that_is_killed_takes_its_calls_out_of_the_cluster(ray_cluster, tmp_path):
    path = tmp_path / "calls"
    program = subprocess.Popen(
        [sys.executable, _HERE / "joined_program.py", ray_cluster.address, path]
    )
    try:
        asyncio.run(_until(lambda: len(_lines(path)) == 1))
    finally:
        program.kill()
        program.wait()
    (pid,) = _lines(path)
    asyncio.run(_until(lambda: not Path(f"/proc/{pid}").exists()))


def test_what_is_larger_than_the_object_store_crosses_all_the_same(ray_cluster):
    async def scenario():
        async with Runtime(cluster=ray_cluster.address, lanes=("cluster",)) as rt:
            return await rt.run(len, bytes(200_000_000)), await rt.run(len, b"little")

    assert asyncio.run(scenario()) == (200_000_000, 6)
