"""How a cluster is asked for, and what is told where it cannot be had."""

import asyncio
import sys

import pytest

from lanewise import LaneUnavailableError, Runtime, task
from lanewise.lanes.cluster import ClusterLane
from lanewise.model.task import Resources


def plain():
    return 1


@pytest.mark.parametrize("address", ["", "nowhere", "host:", ":6379", "host:port", "ray://host"])
def test_an_address_that_is_none_is_refused_when_the_runtime_is_made(address):
    with pytest.raises(
        ValueError, match="must be 'local', 'auto', 'host:port' or 'ray://host:port'"
    ):
        Runtime(cluster=address)


@pytest.mark.parametrize(
    "address", ["local", "auto", "10.0.0.1:6379", "ray://head.example:10001", "[::1]:6379"]
)
def test_an_address_is_taken_as_it_is(address):
    assert ClusterLane(address).address == address


def test_the_lane_needs_to_know_which_cluster():
    with pytest.raises(ValueError, match="say which cluster"):
        Runtime(lanes=("thread", "cluster"))


def test_without_the_extra_the_install_command_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)  # which is how Python is told that there is none

    async def scenario():
        async with Runtime(cluster="local", lanes=("thread",)):
            raise AssertionError("it was entered")

    with pytest.raises(LaneUnavailableError, match=r"pip install 'lanewise\[cluster\]'"):
        asyncio.run(scenario())


def test_a_task_says_what_it_asks_of_a_node():
    asks = task(resources={"cpus": 2, "memory_bytes": 1_000})(plain)
    assert asks.resources == Resources(2.0, 1_000)
    assert task(plain).resources == Resources(1.0, 0)


@pytest.mark.parametrize("wrong", [{"cpus": 0}, {"cpus": -1}, {"memory_bytes": -1}, {"gpus": 1}])
def test_what_no_node_has_is_refused_where_it_is_declared(wrong):
    with pytest.raises(ValueError, match=r"resources=.*the cores that a call keeps busy"):
        task(resources=wrong)(plain)
