"""Which samples count, and what they say. Pure.

Whether threads buy anything shows only while there are cores for them, and a shared machine has them now
and then. So each sample lies between two controls: as many processes as cores are wanted compute in pure
Python, beside each other and one alone (``control.py``). Where either had fewer cores, the sample is
discarded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lanewise.measuring.contention import CONTENDED_SHARE
from lanewise.measuring.statistics import median
from lanewise.model.lane import LaneName

# A control whose processes got less than this part of the cores wanted shows that they were not there.
_CORES_WERE_THERE = 0.8
# Fewer samples than these say nothing.
_LEAST_SAMPLES = 3
# Less than this is no gain that is worth a change.
_WORTHWHILE = 1.07


@dataclass(frozen=True, slots=True)
class Sample:
    """One lane under one interpreter, between two controls.

    Attributes:
        alone_per_s: Calls a second of one caller; ``together_per_s`` of as many as cores are wanted.
        cores: What the worse of the two controls had, as it tells.
    """

    alone_per_s: float
    together_per_s: float
    cores: float

    def counts(self, wanted: int) -> bool:
        """Whether the cores were there."""
        return self.cores >= _CORES_WERE_THERE * wanted


@dataclass(frozen=True, slots=True)
class LaneYield:
    """What a lane carries, as medians of the samples that count; None where too few do.

    Attributes:
        scaling: ``together_per_s`` over ``alone_per_s``, in the same sample.
        kept: How many of ``taken`` samples count.
    """

    lane: LaneName
    alone_per_s: float | None
    together_per_s: float | None
    scaling: float | None
    kept: int
    taken: int


@dataclass(frozen=True, slots=True)
class InterpreterYield:
    """One interpreter.

    Attributes:
        python: As it was named; ``version``, ``free_threaded`` and ``gil_enabled`` are what it says of
            itself, the last after it had imported the task.
        lanes: What each carries.
        unavailable: Why the others take no part.
        call_s: How long one call takes alone, in seconds.
    """

    python: str
    version: str
    free_threaded: bool
    gil_enabled: bool
    lanes: tuple[LaneYield, ...] = ()
    unavailable: Mapping[str, str] = field(default_factory=dict)
    call_s: float | None = None

    def lane(self, name: LaneName) -> LaneYield | None:
        """Return what a lane carries, if that is known."""
        for one in self.lanes:
            if one.lane == name and one.together_per_s is not None:
                return one
        return None

    @property
    def best(self) -> LaneYield | None:
        """The lane that carries most."""
        known = [one for one in self.lanes if one.together_per_s is not None]
        return max(known, key=lambda one: one.together_per_s or 0.0, default=None)


@dataclass(frozen=True, slots=True)
class TaskBuys:
    """What another interpreter buys one task.

    Attributes:
        task: Its dotted name.
        size: Of the calls; ``callers`` of them at once, on as many cores.
        here: The interpreter that it runs under today; ``there`` the other one.
        error: Why nothing was measured; None where it was.
    """

    task: str
    size: float = 0.0
    callers: int = 0
    here: InterpreterYield | None = None
    there: InterpreterYield | None = None
    error: str | None = None

    @property
    def gain(self) -> float | None:
        """What the best lane there carries, over the best one here; None where too few samples count."""
        best_here = None if self.here is None else self.here.best
        best_there = None if self.there is None else self.there.best
        if best_here is None or best_there is None:
            return None
        if best_here.together_per_s is None or best_there.together_per_s is None:
            return None
        return best_there.together_per_s / best_here.together_per_s

    @property
    def contended(self) -> bool:
        """FT201: threads there scale to less than processes there do, by more than noise."""
        if self.there is None or self.there.gil_enabled:
            return False
        threads, apart = self.there.lane("thread"), self.there.lane("process")
        if threads is None or apart is None or threads.scaling is None or apart.scaling is None:
            return False
        return threads.scaling < CONTENDED_SHARE * apart.scaling

    @property
    def verdict(self) -> str:
        """In one or two sentences."""
        if self.error is not None:
            return f"not measured: {self.error}"
        assert self.here is not None
        assert self.there is not None
        threads = self.there.lane("thread")
        if threads is None and "thread" in self.there.unavailable:
            return f"it has no threads to move to: {self.there.unavailable['thread']}"
        if self.gain is None or threads is None or threads.scaling is None:
            return _too_busy(self.here, self.there, self.callers)
        text = (
            f"{self.callers} threads under {self.there.python} carry {threads.scaling:.2f} times "
        )
        text += "what one does"
        if self.there.gil_enabled:
            return f"{text}: importing the task switches the lock on there, so they take turns"
        if self.contended:
            apart = self.there.lane("process")
            assert apart is not None
            text += f", processes {apart.scaling:.2f} times: the calls share something hot (FT201)"
        return f"{text}; {self._gain_words()}"

    def _gain_words(self) -> str:
        assert self.gain is not None
        assert self.here is not None
        assert self.there is not None
        here, there = self.here.best, self.there.best
        assert here is not None
        assert there is not None
        lanes = (
            f"its best lane there ({there.lane}) carries {self.gain:.2f} times the best one here"
        )
        worth = "" if self.gain > _WORTHWHILE else ", which is no gain"
        return f"{lanes} ({here.lane}){worth}"

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        document = asdict(self)
        for name, one in (("here", self.here), ("there", self.there)):
            if one is not None:
                document[name]["unavailable"] = dict(one.unavailable)
        return document | {
            "gain": self.gain,
            "contended": self.contended,
            "verdict": self.verdict,
        }


def lane_yield(lane: LaneName, samples: Sequence[Sample], wanted: int) -> LaneYield:
    """Reduce a lane's samples to medians of those that count."""
    kept = [one for one in samples if one.counts(wanted) and one.alone_per_s > 0]
    if len(kept) < _LEAST_SAMPLES:
        return LaneYield(lane, None, None, None, len(kept), len(samples))
    return LaneYield(
        lane,
        alone_per_s=median([one.alone_per_s for one in kept]),
        together_per_s=median([one.together_per_s for one in kept]),
        scaling=median([one.together_per_s / one.alone_per_s for one in kept]),
        kept=len(kept),
        taken=len(samples),
    )


def _too_busy(here: InterpreterYield, there: InterpreterYield, callers: int) -> str:
    lanes = (*here.lanes, *there.lanes)
    taken, kept = sum(one.taken for one in lanes), sum(one.kept for one in lanes)
    return (
        f"too busy to say: in {taken - kept} of {taken} samples the control had fewer than {callers} "
        "cores. Try again on a calmer machine, or with a larger budget"
    )
