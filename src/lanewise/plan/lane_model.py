"""How many calls a second a lane carries, and what it does to the loop, from costs alone.

The bounds are those of operational analysis (Denning & Buzen 1978): throughput is the least of what
the callers ask for (concurrency over unloaded response time) and of what each shared resource can
serve (one over the time that a call keeps it busy). The resources are the cores, the lock and, for
other processes and interpreters, the side of the event loop that pickles and dispatches.

A model this plain is wrong by some ten percent wherever caches, memory bandwidth or hand-overs
matter; ``TaskPlan.observations`` correct it where the contender was measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from lanewise.model.facts import Calibration, LaneCost
from lanewise.model.lane import LaneName
from lanewise.plan.task_plan import CostPoint

# A thread that holds the lock gives it up after this long when others wait (sys.setswitchinterval).
SWITCH_INTERVAL_S = 0.005
# How many holds the loop usually sits out: the present one, and one that is taken before its turn.
_HOLDERS_BEFORE_THE_LOOP = 2
# How many calls on the loop's own lane others may sit out.
_CALLS_BEFORE_OTHERS = 2
# Time in calls between two looks of the loop at everything else. A timer's callback is seen after two
# such looks, so this and a call may come twice within the default loop budget of a millisecond.
SLICE_S = 0.00025
# What runs calls, in words.
_WORKERS: dict[LaneName, str] = {
    "process": "worker processes",
    "interpreter": "interpreters",
    "cluster": "the cluster's cores",
}


@dataclass(frozen=True, slots=True)
class Machine:
    """The host as the model sees it."""

    calibration: Calibration
    cores: int
    gil_enabled: bool


@dataclass(frozen=True, slots=True)
class Modelled:
    """What the model says of one lane for one call.

    Attributes:
        loop_lag_s: How late the loop is while the lane is in its way.
        bottleneck: What limits the lane, in words.
        in_the_way: The share of time, up to 1, in which it is, when the lane carries what it can.
    """

    throughput_per_s: float
    loop_lag_s: float
    bottleneck: str
    in_the_way: float


def model_lane(lane: LaneName, cost: CostPoint, concurrency: int, machine: Machine) -> Modelled:
    """Predict a closed loop of ``concurrency`` callers on one lane.

    Raises:
        KeyError: The machine's calibration does not know the lane.
    """
    own = machine.calibration.lanes[lane]
    if lane == "event_loop":
        return _event_loop(cost, concurrency, own)
    if lane == "thread":
        return _thread(cost, concurrency, own, machine)
    return _apart(lane, cost, concurrency, own, machine)


def _event_loop(cost: CostPoint, concurrency: int, own: LaneCost) -> Modelled:
    # The lane lets the loop look at everything else between two calls that are not much shorter than a
    # slice, however many callers there are; but whoever waits may have to let two of them go first.
    # To give the loop its look takes a turn of it, which calls that fill a slice each pay for alone.
    turn_s = own.dispatch_s * min(1.0, cost.wall_s / SLICE_S)
    rate = 1 / (cost.wall_s + own.per_call_s + turn_s)
    lag_s = cost.wall_s * min(concurrency, _CALLS_BEFORE_OTHERS)
    return Modelled(rate, lag_s, "the loop runs one call at a time", 1.0)


def _thread(cost: CostPoint, concurrency: int, own: LaneCost, machine: Machine) -> Modelled:
    held_s = cost.held_s if machine.gil_enabled else 0.0
    limits = {
        "callers": concurrency / (cost.wall_s + own.dispatch_s),
        "the lock": 1 / (held_s + own.per_call_s),
        "cores": machine.cores / max(cost.cpu_s + own.per_call_s, 1e-12),
    }
    bottleneck = min(limits, key=lambda name: limits[name])
    rate = limits[bottleneck]
    lag_s = _thread_lag_s(cost, concurrency, machine)
    return Modelled(rate, lag_s, bottleneck, min(1.0, rate * held_s))


def _thread_lag_s(cost: CostPoint, concurrency: int, machine: Machine) -> float:
    """A loop that wakes while threads hold the lock waits for the present hold to end.

    A hold ends when the call gives the lock up, or after the switch interval, whichever is first
    (a call in C that keeps the lock ignores the interval: then observations say more). The lock has
    no queue, so with several threads another one may take it before the loop does.
    """
    if not machine.gil_enabled:
        return 0.0
    wait_s = cost.held_s if cost.gil_wait_p99_s is None else cost.gil_wait_p99_s
    holders = max(1, min(concurrency, _HOLDERS_BEFORE_THE_LOOP))
    return min(wait_s, SWITCH_INTERVAL_S) * holders


def sending_s(cost: CostPoint, machine: Machine) -> float:
    """How long this machine is busy with sending a call to the cluster and taking its result.

    Raises:
        KeyError: The machine's calibration does not know the lane.
    """
    own = machine.calibration.lanes["cluster"]
    bytes_per_s = own.transfer_bytes_per_s or machine.calibration.transfer_bytes_per_s
    crossing_bytes = (cost.args_bytes or 0) + (cost.result_bytes or 0)
    return own.per_call_s + (cost.pickle_s or 0.0) + crossing_bytes / bytes_per_s


def _apart(
    lane: LaneName, cost: CostPoint, concurrency: int, own: LaneCost, machine: Machine
) -> Modelled:
    """Processes and interpreters: what arguments and results cost to get there, but no lock in common."""
    pickle_s = cost.pickle_s or 0.0
    crossing_bytes = (cost.args_bytes or 0) + (cost.result_bytes or 0)
    bytes_per_s = own.transfer_bytes_per_s or machine.calibration.transfer_bytes_per_s
    transfer_s = crossing_bytes / bytes_per_s
    # What the far side unpickles and pickles again costs about what this side does.
    far_s = cost.wall_s + pickle_s
    near_s = own.per_call_s + pickle_s + transfer_s
    workers = _WORKERS[lane]
    cores = own.cores or machine.cores
    limits = {
        "callers": concurrency / (far_s + own.dispatch_s + pickle_s + transfer_s),
        workers: cores / far_s,
        "pickling and dispatch on the loop's side": 1 / near_s,
        "cores": cores / max(cost.cpu_s + 2 * pickle_s + transfer_s + own.per_call_s, 1e-12),
    }
    bottleneck = min(limits, key=lambda name: limits[name])
    rate = limits[bottleneck]
    lag_s = pickle_s if machine.gil_enabled else 0.0
    return Modelled(rate, lag_s, bottleneck, min(1.0, rate * pickle_s))
