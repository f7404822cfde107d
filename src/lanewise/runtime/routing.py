"""Which lane and variant a call goes to: pins, then plan and observation, then a safe default."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from lanewise.errors import LaneUnavailableError
from lanewise.host.modules import module_present
from lanewise.model.facts import Calibration, LaneCost
from lanewise.model.lane import SHARING_MEMORY, CallReport, LaneName
from lanewise.model.measurement import Contender
from lanewise.model.size import arguments_bytes
from lanewise.model.task import DEFAULT_VARIANT, Task
from lanewise.model.units import format_seconds
from lanewise.plan.choose import Choice, Estimate, choose
from lanewise.plan.document import Plan
from lanewise.plan.lane_model import Machine, sending_s
from lanewise.plan.task_plan import TaskPlan
from lanewise.runtime.calls import quickly_local
from lanewise.runtime.crowding import contention_words
from lanewise.runtime.decision import COMPUTING, Decision
from lanewise.runtime.explaining import explained
from lanewise.runtime.host_costs import HostCosts
from lanewise.runtime.learning import LearnedTask, size_class
from lanewise.runtime.seen import Seen
from lanewise.runtime.statistics import Correction

_log = logging.getLogger("lanewise")

# Decisions of a planned task are kept per class of sizes: this many classes to each doubling. A boundary
# is then met to within 5 %, less than any break-even point is known to.
_CLASSES_PER_DOUBLING = 16
# Kept decisions of one task, and tasks; beyond it the table starts anew, so that a service with ever
# new sizes or functions stays small.
_MAX_KEPT = 1_024
_MAX_TASKS = 4_096
# A lane is left for another one that carries this much more, not for less: else routes would flap.
_STAYS_FOR = 0.85
# A call with a deadline may go where it cannot be stopped if it takes at most this part of what is left.
_UNSTOPPABLE_SHARE = 0.1
# The lane that takes over while the best one is full must carry at least this part of it.
_SPILL_SHARE = 0.3
_MAX_LEVEL = 64
# A call goes to the cluster if sending it takes at most this part of what running it would.
_SENDING_SHARE = 0.5
# Watching takes a hundredth of a call that takes so long.
_LONG_S = 0.010
_NO_CHOICE = (0, 0)
# Calls that hold the lock for less of their time than this harm nobody on a thread.
FREE_OF_THE_LOCK = 0.2
# Calls that spend more of their time than this on a core compute, and the others wait.
_COMPUTES = 0.5
# Lanes that can stop a running call.
STOPPABLE: frozenset[LaneName] = frozenset(("process", "cluster"))


class Router:
    """Decides for one runtime. Owner: the runtime's event loop.

    Args:
        plan: May be empty.
        lanes: Those that are open.
        unavailable: Those that are not, with their reason.
        calibration: Of this host's lanes; None takes that of the host which a task was measured on.
    """

    def __init__(  # noqa: PLR0913 - because: the facts that decisions rest on, each once
        self,
        plan: Plan,
        lanes: frozenset[LaneName],
        unavailable: dict[LaneName, str],
        calibration: Calibration | None,
        loop_budget_s: float,
        cores: int,
        gil_enabled: bool,  # noqa: FBT001 - because: a fact, not a switch
    ) -> None:
        self._plan = plan
        self._lanes = lanes
        self._unavailable = unavailable
        self.host_costs = HostCosts(calibration)
        self._loop_budget_s = loop_budget_s
        self._cores = cores
        self._gil_enabled = gil_enabled
        # Where there is no choice there is nothing to learn.
        self._learns = len(lanes) > 1
        self._tasks: dict[str, LearnedTask] = {}
        self._sizeless: set[str] = set()
        self._contended: dict[str, float] = {}
        self._pins: dict[tuple[str, LaneName], Decision] = {}

    # --- deciding -------------------------------------------------------------------------------

    def decide(  # noqa: PLR0913 - because: one call and its circumstances
        self,
        task: Task[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        concurrency: int,
        pinned: LaneName | None = None,
        left_s: float | None = None,
    ) -> Decision:
        """Decide for one call, ``left_s`` seconds before its deadline.

        Raises:
            LaneUnavailableError: The pinned lane is not open, or no open lane may run the task.
        """
        if pinned is None:
            pinned = task.lane
        if pinned is not None and (kept := self._pins.get((task.name, pinned))) is not None:
            return kept
        known = self._tasks.get(task.name)
        if known is None:
            known = self._meet(task)
        wanted = pinned or (known.planned and known.planned.pinned)
        if wanted:
            return self._pinned(task, known, args, kwargs, concurrency, wanted)
        if not self._learns and known.planned is None:
            kept = known.kept.get(_NO_CHOICE)
            if kept is None:
                kept = self._unknown(task, known, None)
                known.kept[_NO_CHOICE] = kept
            return kept
        try:  # as _size() does it, without one more call on the way of every call
            size = task.size_of(args, kwargs)
        except Exception as error:  # noqa: BLE001 - because: see there
            size = self._size_without(task, error, args, kwargs)
        last = known.last
        if last is not None and last[0] == size and last[1] == concurrency:
            kept = last[2]
        else:
            kept = self._kept(task, known, size, concurrency)
        if left_s is not None and kept.lane not in STOPPABLE:
            return self._in_time(known, kept, left_s)
        return kept

    def _size(self, task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
        """The size of a call; of a task whose own ``size`` fails, the bytes of its arguments."""
        try:
            return task.size_of(args, kwargs)
        except Exception as error:  # noqa: BLE001 - because: it is the user's code, and only advice
            return self._size_without(task, error, args, kwargs)

    def _size_without(
        self, task: Task[..., Any], error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> float:
        """A call with arguments that do not fit is left to the function itself, which says so better."""
        local = quickly_local(args, kwargs)  # ``size`` may have met a handle
        if local is not None:
            try:
                return task.size_of(*local)
            except Exception as own:  # noqa: BLE001 - because: as in _size()
                error = own
        if task.name not in self._sizeless:
            if len(self._sizeless) >= _MAX_TASKS:
                self._sizeless.clear()
            self._sizeless.add(task.name)
            warnings.warn(
                f"size(...) of task {task.name} raised {type(error).__name__}: {error}. Its call is "
                "routed by the bytes of its arguments; let size take what the function takes and "
                "return a number",
                RuntimeWarning,
                stacklevel=2,
            )
        return float(arguments_bytes(args, kwargs))

    def _kept(
        self, task: Task[..., Any], known: LearnedTask, size: float, concurrency: int
    ) -> Decision:
        """The decision for that class of sizes and concurrency, made now if there is none."""
        key = _fine_class(size), _level(concurrency)
        kept = known.kept.get(key)
        if kept is None:
            if len(known.kept) >= _MAX_KEPT:
                known.forget_decisions()
            kept = known.kept[key] = self._anew(task, known, size, key[1])
        known.last = size, concurrency, kept
        return kept

    def _meet(self, task: Task[..., Any]) -> LearnedTask:
        if len(self._tasks) >= _MAX_TASKS:
            for name in list(self._tasks)[: _MAX_TASKS // 4]:
                del self._tasks[name]
        planned = self._plan.tasks.get(task.name)
        known = self._tasks[task.name] = LearnedTask(
            task.name,
            None if planned is None else _usable(planned, task),
            isolated=task.isolation == "required",
            size_unit="bytes" if task.size is None else "declared",
        )
        return known

    def _anew(
        self, task: Task[..., Any], known: LearnedTask, size: float, concurrency: int
    ) -> Decision:
        seen = known.seen(size)
        seen.watches_crowding = self._watches_crowding
        plan = self._plan_of(known) if known.planned is not None or seen.is_known else None
        if plan is None:
            return self._unknown(task, known, seen)
        here = seen.may_run_here if known.planned is None else not seen.is_kept_off
        choice = self._choice(plan, size, concurrency, here=here)
        if concurrency > 1 and seen.crowding.is_contended:
            choice = self._apart(plan, size, concurrency, choice, seen)
        best, reason = self._steady(known, size, choice)
        decision = self._decision(known, plan, size, best, reason)
        other = self._far(plan, size, concurrency, best) or self._other(plan, size, choice, best)
        if other is None:
            return decision
        full = f"{best.contender.lane} is full; {reason}"
        return replace(decision, spill=self._decision(known, plan, size, other, full))

    def _decision(
        self, known: LearnedTask, plan: TaskPlan, size: float, estimate: Estimate, reason: str
    ) -> Decision:
        lane, variant = estimate.contender.lane, estimate.contender.variant
        seen = known.seen(size, variant)
        seen.watches_crowding = self._watches_crowding
        cost, harms = plan.cost_at(variant, plan.size_of_call(size)), not estimate.keeps_budget
        door = COMPUTING if lane == "thread" and cost.computing_share >= _COMPUTES else None
        return Decision(lane, variant, reason, cost.wall_s, seen, known, harms=harms, door=door)

    def _steady(self, known: LearnedTask, size: float, choice: Choice) -> tuple[Estimate, str]:
        """The chosen contender, or the one of before while that is nearly as good; and why."""
        best, reason = choice.estimate, choice.reason
        at = size_class(size)
        before = known.routes.get(at) if at in known.steady and known.planned is None else None
        if before is not None and before != best.contender:
            for one in choice.estimates:
                good = one.throughput_per_s >= _STAYS_FOR * choice.estimate.throughput_per_s
                if one.contender == before and one.keeps_budget and good:
                    best = one
                    reason = f"stays there, for {choice.contender} carries little more; {reason}"
        known.routes[at] = best.contender
        if known.seen(size, best.contender.variant).is_settled:
            known.steady.add(at)
        return best, reason

    def _other(
        self, plan: TaskPlan, size: float, choice: Choice, best: Estimate
    ) -> Estimate | None:
        """Another lane with workers of its own, for when the best one has none free."""
        if best.contender.lane == "event_loop":
            return None
        held = plan.cost_at(best.contender.variant, plan.size_of_call(size)).gil_held_share
        others = [
            one
            for one in choice.estimates
            if one.contender.lane not in ("event_loop", best.contender.lane)
            and one.keeps_budget
            # What holds the lock would contend for it with the loop and all other threads.
            and (
                one.contender.lane != "thread"
                or not self._gil_enabled
                or (held is not None and held <= FREE_OF_THE_LOCK)
            )
            and one.throughput_per_s >= _SPILL_SHARE * best.throughput_per_s
        ]
        return max(others, key=lambda one: one.throughput_per_s, default=None)

    def _far(
        self, plan: TaskPlan, call_size: float, concurrency: int, best: Estimate
    ) -> Estimate | None:
        """The cluster, for when the local cores are taken, where sending costs less than running."""
        if "cluster" not in self._lanes or best.contender.lane in ("event_loop", "cluster"):
            return None
        contender = Contender("cluster", best.contender.variant)
        size, machine = plan.size_of_call(call_size), self._machine(plan)
        try:
            found = choose(plan, size, concurrency, machine, self._loop_budget_s, [contender])
        except LaneUnavailableError:
            return None
        far = found.estimate
        wall_s = plan.cost_at(contender.variant, size).wall_s
        worth = (
            sending_s(plan.cost_at(contender.variant, size), machine) <= _SENDING_SHARE * wall_s
            and far.throughput_per_s >= _SPILL_SHARE * best.throughput_per_s
        )
        return far if worth else None

    def _plan_of(self, known: LearnedTask) -> TaskPlan | None:
        if known.planned is not None:
            return known.plan(self._machine(known.planned), self._loop_budget_s)
        calibration = self.host_costs.calibration
        if calibration is None:
            return None
        machine = Machine(calibration, self._cores, self._gil_enabled)
        return known.plan(machine, self._loop_budget_s)

    def _machine(self, plan: TaskPlan) -> Machine:
        """This host; its own calibration goes before that of another one on which the plan was made."""
        own = self.host_costs.calibration
        same = own is not None and own.fingerprint == plan.calibration.fingerprint
        # A lane that the plan was made without is known from this runtime's own calibration alone.
        if own is None or (same and own.lanes.keys() <= plan.calibration.lanes.keys()):
            own = plan.calibration
        return Machine(own, self._cores, self._gil_enabled)

    def _choice(
        self, plan: TaskPlan, call_size: float, concurrency: int, *, here: bool = True
    ) -> Choice:
        """Choose; ``here`` says whether the loop's own lane may be chosen, if there is any other."""
        size = plan.size_of_call(call_size)
        lanes = self._lanes - {"cluster"} or self._lanes
        lanes = lanes if here else (lanes - {"event_loop"}) or lanes
        allowed = [Contender(lane, variant) for lane in lanes for variant in plan.variants]
        try:
            return choose(
                plan, size, concurrency, self._machine(plan), self._loop_budget_s, allowed
            )
        except LaneUnavailableError as error:
            raise LaneUnavailableError(
                str(error), reasons={**error.reasons, **self._unavailable}
            ) from error

    def _apart(
        self, plan: TaskPlan, call_size: float, concurrency: int, choice: Choice, seen: Seen
    ) -> Choice:
        """Off the threads, whose calls slow each other down, if that carries more by costs alone."""
        slowdown, most_per_s = seen.crowding.slowdown, seen.crowding.most_per_s
        carried = {
            one.contender: min(one.modelled_per_s / slowdown, most_per_s)
            if one.contender.lane == "thread"
            else one.modelled_per_s
            for one in choice.estimates
        }
        lane = max(carried, key=lambda contender: carried[contender]).lane
        if choice.contender.lane != "thread" or lane in SHARING_MEMORY:
            return choice
        size, machine = plan.size_of_call(call_size), self._machine(plan)
        only = [one for one in carried if one.lane == lane]
        found = choose(plan, size, concurrency, machine, self._loop_budget_s, only)
        why = f"calls in threads take {slowdown:.2g} times as long beside each other (FT201)"
        # Without estimates of threads: they are no place to stay, nor to go to while processes are busy.
        return replace(found, reason=f"{why}; {found.reason}")

    def _in_time(self, known: LearnedTask, kept: Decision, left_s: float) -> Decision:
        """A lane that cannot stop calls gets those alone that will be over long before their deadline."""
        quick = kept.expected_s is not None and kept.expected_s <= _UNSTOPPABLE_SHARE * max(
            left_s, 0.0
        )
        unportable = known.unportable or (known.planned and known.planned.unportable)
        if quick or unportable or "process" not in self._lanes:
            return kept
        return replace(
            kept,
            lane="process",
            spill=None,
            door=None,
            reason=f"its deadline may pass while it runs, and {kept.lane} could not stop it",
        )

    def _pinned(  # noqa: PLR0913 - because: one call and how it was pinned
        self,
        task: Task[..., Any],
        known: LearnedTask,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        concurrency: int,
        lane: LaneName,
    ) -> Decision:
        if lane not in self._lanes:
            why = self._unavailable.get(lane, "this runtime was made without it")
            raise LaneUnavailableError(
                f"{task.name} is pinned to the {lane} lane, which is not available: {why}",
                reasons={lane: why},
            )
        if known.planned is None or len(known.planned.variants) == 1:
            return self._plainly_pinned(task, known, lane)
        planned = replace(known.planned, pinned=None)
        size = planned.size_of_call(self._size(task, args, kwargs))
        only = [Contender(lane, name) for name in planned.variants]
        machine = self._machine(planned)
        try:
            found = choose(planned, size, concurrency, machine, self._loop_budget_s, only)
        except LaneUnavailableError:
            # The plan has no estimate on that lane: the pin says where, the default what.
            return Decision(lane, planned.variants[0], f"pinned to {lane}")
        return Decision(lane, found.contender.variant, f"pinned to {lane}")

    def _plainly_pinned(self, task: Task[..., Any], known: LearnedTask, lane: LaneName) -> Decision:
        kept = self._pins.get((task.name, lane))
        if kept is None:
            variant = DEFAULT_VARIANT if known.planned is None else known.planned.variants[0]
            if len(self._pins) >= _MAX_TASKS:
                self._pins.clear()
            kept = self._pins[task.name, lane] = Decision(lane, variant, f"pinned to {lane}")
        return kept

    def _unknown(self, task: Task[..., Any], known: LearnedTask, seen: Seen | None) -> Decision:
        """Nothing is known: where a call harms nobody else, at the price of its dispatch."""
        order: tuple[LaneName, ...] = ("process", "interpreter", "cluster", "thread", "event_loop")
        if task.isolation == "required":
            order = ("process", "interpreter", "cluster")
        elif known.unportable is not None:
            order = ("thread", "event_loop", "process")
        for lane in order:
            if lane in self._lanes and f"{lane}/{DEFAULT_VARIANT}" not in known.failing:
                reason = f"no plan knows it yet; {lane} protects the loop whatever it does"
                return Decision(lane, DEFAULT_VARIANT, reason, None, seen, known)
        why = "no lane can be used now"
        if task.isolation == "required":
            why = "it asks for isolation, and no lane that isolates is available here"
        told = "; ".join(f"{lane}: {reason}" for lane, reason in self._unavailable.items())
        raise LaneUnavailableError(
            f"{task.name} cannot be run: {why}" + (f" ({told})" if told else ""),
            reasons=self._unavailable,
        )

    @property
    def _watches_crowding(self) -> bool:
        """Whether threads run without the lock, and there is a lane on which nothing is shared."""
        return not self._gil_enabled and not self._lanes.isdisjoint(("process", "interpreter"))

    # --- learning -------------------------------------------------------------------------------

    def watched(self, decision: Decision) -> Decision | None:
        """Return the decision for a call that is to be watched, in a process; None for all others."""
        seen, known = decision.seen, decision.known
        if seen is None or known is None or "process" not in self._lanes:
            return None
        if known.unportable is not None or not seen.wants_watching(
            decision.lane, harms=decision.harms
        ):
            return None
        if decision.lane == "process":
            return decision
        why = "it is watched, to learn what it costs"
        return replace(decision, lane="process", spill=None, door=None, reason=why)

    def saw(
        self,
        decision: Decision,
        report: CallReport | None,
        at_once: int,
        latency_s: float,
        at_end: int = 1,
    ) -> bool:
        """A call has ended on a lane other than the loop's; return whether decisions may change.

        ``at_once`` calls of the task were there when it began, and ``at_end`` when it ended.
        """
        seen, known = decision.seen, decision.known
        if seen is None or known is None:
            return False
        if decision.lane == "cluster":  # whose cores say nothing of what calls take here
            known.crossed(decision.lane)
            self._crossing_took(decision.lane, report, latency_s)
            return False
        if decision.lane not in SHARING_MEMORY:
            known.crossed(decision.lane)
            self._crossing_took(decision.lane, report, latency_s)
        if report is not None and report.watch:
            changed = seen.watched_call(report)
            # To watch a long call takes next to nothing, and where it crosses for nothing else these few
            # are all that tells how long it really stays. Not the first, which a worker is started for.
            if seen.watched > 1 and report.run_s is not None and report.run_s >= _LONG_S:
                # Without what it waited for a core, which is not the lane's.
                own_s = latency_s - (report.run_queue_s or 0.0)
                changed = seen.stayed(decision.lane, at_once, own_s) or changed
        else:
            stays_otherwise = at_once > 0 and seen.stayed(decision.lane, at_once, latency_s)
            beside = max(at_once, at_end)
            if report is None:
                ran = seen.passed()
            else:
                ran = seen.ran(decision.lane, report, at_once, beside=beside)
            changed = ran or stays_otherwise
        if changed:
            known.forget_decisions()
            if seen.crowding.is_contended and known.name not in self._contended:
                self._note_contention(known.name, seen)
        return changed

    def _crossing_took(self, lane: LaneName, report: CallReport | None, latency_s: float) -> None:
        if report is None or report.run_s is None:
            return
        if self.host_costs.crossed(lane, latency_s - report.run_s):
            self._forget_all_decisions()

    def _note_contention(self, name: str, seen: Seen) -> None:
        """Tell once of a task whose calls slow each other down in threads."""
        if len(self._contended) >= _MAX_TASKS:
            self._contended.clear()
        self._contended[name] = seen.crowding.slowdown
        _log.warning("%s", contention_words(name, seen.crowding.slowdown))

    def saw_here(self, seen: Seen, known: LearnedTask | None, run_s: float) -> None:
        """A call has ended on the loop's lane."""
        if seen.ran_here(run_s, self._loop_budget_s) and known is not None:
            known.forget_decisions()

    def lock_changed(self, *, gil_enabled: bool) -> None:
        """The lock was switched on or off: every decision is made anew."""
        self._gil_enabled = gil_enabled
        for known in self._tasks.values():
            known.lock_changed()

    def lane_changed(self, lane: LaneName, why: str | None, cost: LaneCost | None) -> None:
        """A lane came back, or cannot be used for that reason: every decision is made anew."""
        if why is None:
            self._lanes |= {lane}
            self._unavailable.pop(lane, None)
            if cost is not None:
                self.host_costs.know(lane, cost)
        else:
            self._lanes -= {lane}
            self._unavailable[lane] = why
        self._learns = len(self._lanes) > 1
        self._pins.clear()
        self._forget_all_decisions()

    def _forget_all_decisions(self) -> None:
        for known in self._tasks.values():
            known.forget_decisions()

    # --- telling --------------------------------------------------------------------------------

    def explain(
        self,
        task: Task[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        concurrency: int,
        pinned: LaneName | None = None,
    ) -> str:
        """Say in words what would be chosen, why, and what every alternative was estimated at."""
        decision = self.decide(task, args, kwargs, concurrency, pinned)
        known = self._tasks[task.name]
        size = self._size(task, args, kwargs)
        return explained(decision, known, self._plan_of(known), size, concurrency, self._choice)

    def contended(self) -> dict[str, float]:
        """Return the tasks that were seen to slow themselves down in threads, and how many times."""
        return dict(self._contended)

    def corrections(self) -> Iterator[Correction]:
        """Yield where calls go elsewhere than the plan has them go, or than they went at first."""
        for known in self._tasks.values():
            for at, seen in known.corrected_classes():
                now = known.routes.get(at)
                if now is None:
                    continue
                planned = "learned"
                if known.planned is not None:
                    choice = self._choice(known.planned, seen.size, 1)
                    planned = str(choice.contender)
                yield Correction(
                    task=known.name,
                    size_class=f"about {seen.size:,.0f}",
                    planned=planned,
                    now=str(now),
                    reason=f"calls take {format_seconds(seen.wall_s)} now; seen to change "
                    f"{seen.forgotten} time(s)",
                )

    def learned(self) -> Iterable[TaskPlan]:
        """Return what is known of every task that was called, as plans."""
        for known in self._tasks.values():
            plan = self._plan_of(known)
            if plan is not None:
                yield replace(plan, gil_enabled=self._gil_enabled)


def _usable(planned: TaskPlan, task: Task[..., Any]) -> TaskPlan | None:
    """The task's plan, without variants that this environment or the task does not have."""
    usable = {
        name
        for name, variant in task.variants.items()
        if variant.requires is None or module_present(variant.requires)
    }
    costs = tuple(cost for cost in planned.costs if cost.variant in usable)
    seen = tuple(row for row in planned.observations if row.variant in usable)
    isolated = planned.isolated or task.isolation == "required"
    return replace(planned, costs=costs, observations=seen, isolated=isolated) if costs else None


def _fine_class(size: float) -> int:
    # What is no size counts as none: not a number, infinite, negative.
    return round(math.log2(size) * _CLASSES_PER_DOUBLING) if 0 < size < math.inf else -1_000_000


def _level(concurrency: int) -> int:
    """The concurrency that a decision is made for: a power of two."""
    return min(1 << (concurrency - 1).bit_length(), _MAX_LEVEL)
