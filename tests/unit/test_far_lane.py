"""The cluster lane in a runtime: what it costs is found out whenever that can be."""

import asyncio
from types import SimpleNamespace

import pytest
from tests.unit.builders import make_calibration

from lanewise import Runtime, WorkerDiedError
from lanewise.lanes.process.handles import HandleBook
from lanewise.runtime import far_lane
from lanewise.runtime.calibrate import calibrate
from lanewise.runtime.far_lane import FarLane

AWAY = "the cluster is away"


class FakeLane:
    """Calls of it end at once, but for the first ones, which fail."""

    places = 2

    def __init__(self, *failures):
        self.failures = list(failures)
        self.unavailable = None
        self.on_change = self.on_nodes = None

    async def run(self, function, variant, args, kwargs, terms=None):
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        return function(*args, **kwargs)


class FakeRouter:
    """Notes what it is told of the lane."""

    def __init__(self):
        self.told = []
        self.host_costs = SimpleNamespace(calibration=make_calibration())
        self.changed = asyncio.Event()

    def lane_changed(self, lane, why, cost):
        self.told.append((lane, why, cost))
        self.changed.set()


def _far(lane):
    """The runtime's side of a lane, attached to a router."""
    far = FarLane("127.0.0.1:1", (), HandleBook(), (), {}, (None, ()))
    far.lane = lane
    door = SimpleNamespace(resize=lambda _places: None)
    state = SimpleNamespace(router=FakeRouter(), doors={"cluster": door})
    far.attach(state)
    return far, state.router


@pytest.mark.parametrize("error", [WorkerDiedError("a node went"), RuntimeError("a defect")])
async def test_a_cost_that_could_not_be_measured_is_measured_again(monkeypatch, caplog, error):
    monkeypatch.setattr(far_lane, "_MEASURE_AGAIN_S", 0)
    far, router = _far(FakeLane(error, error))
    await router.changed.wait()
    lane, why, cost = router.told[0]
    assert (lane, why, cost.cores) == ("cluster", None, 2)
    assert str(error) in caplog.text
    far.detach()


async def test_a_cluster_that_goes_while_it_is_measured_is_measured_when_it_comes_back():
    lane = FakeLane()
    far, router = _far(lane)
    lane.failures.append(WorkerDiedError("a node went"))
    lane.unavailable = AWAY
    lane.on_change(AWAY)
    await far._measuring  # it does not wait for the next attempt
    lane.unavailable = None
    router.changed.clear()
    lane.on_change(None)
    await router.changed.wait()
    assert list(dict.fromkeys(why for _, why, _ in router.told)) == [AWAY, None]
    far.detach()


async def test_a_cluster_that_is_lost_while_lanes_are_measured_is_left_out():
    lanes = {"thread": FakeLane(), "cluster": FakeLane(WorkerDiedError("a node went"))}
    found = await calibrate(lanes, {}, "host")
    assert set(found.lanes) == {"thread"}
    found = await calibrate(lanes, {}, "host")
    assert set(found.lanes) == {"thread", "cluster"}


def _runtime(monkeypatch, tmp_path, **options):
    monkeypatch.setenv("LANEWISE_CACHE_DIR", str(tmp_path))
    rt = Runtime(lanes=("thread", "cluster"), threads=1, cluster="127.0.0.1:1")

    async def open_when_reached():
        return options.get("away")

    async def close(_grace_s=None):
        return

    lane = FakeLane(*options.get("failures", ()))
    lane.address, lane.unavailable = "127.0.0.1:1", options.get("away")
    lane.open_when_reached, lane.close = open_when_reached, close
    lane.statistics = lambda: None
    rt._far.lane = lane
    return rt, lane


async def test_beside_one_lane_a_cluster_that_comes_later_is_measured_and_used(
    monkeypatch, tmp_path
):
    rt, lane = _runtime(monkeypatch, tmp_path, away=AWAY)
    with pytest.warns(UserWarning, match=AWAY):
        await rt.__aenter__()
    try:
        router = rt._life.state.router
        assert set(router.host_costs.calibration.lanes) == {"thread"}
        lane.unavailable = None
        lane.on_change(None)
        await rt._far._measuring
        assert "cluster" in router.host_costs.calibration.lanes
        assert await rt.with_options(lane="cluster").run(abs, -3) == 3
    finally:
        await rt.__aexit__(None, None, None)


async def test_a_cluster_that_is_lost_while_the_runtime_is_entered_is_measured_afterwards(
    monkeypatch, tmp_path
):
    rt, _ = _runtime(monkeypatch, tmp_path, failures=[WorkerDiedError("a node went")])
    async with rt:
        await rt._far._measuring
        assert "cluster" in rt._life.state.router.host_costs.calibration.lanes
    assert not list(tmp_path.iterdir()), "what lacks a lane was kept"
