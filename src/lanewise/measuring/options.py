"""What to measure, and how thoroughly."""

from __future__ import annotations

from dataclasses import dataclass

from lanewise.errors import MeasureError
from lanewise.model.lane import LaneName

# Those that a runtime opens unless it is told otherwise, and those that can be asked for.
MEASURED_LANES: tuple[LaneName, ...] = ("event_loop", "thread", "process")
_MEASURABLE: tuple[LaneName, ...] = (*MEASURED_LANES, "interpreter")
DEFAULT_BUDGET_S = 60.0
DEFAULT_LOOP_BUDGET_S = 0.001
_LEAST_BUDGET_S = 2.0


@dataclass(frozen=True, slots=True)
class MeasureOptions:
    """Options of one measurement; None means all, or chosen by lanewise.

    Attributes:
        budget_s: Time for one task, kept to within one call of user code.
        loop_budget_s: A lane that delays the loop longer than this is not eligible.
        seed: Of the random order of contenders.

    Raises:
        MeasureError: An option has a value that it cannot have.
    """

    sizes: tuple[float, ...] | None = None
    concurrencies: tuple[int, ...] | None = None
    lanes: tuple[LaneName, ...] = MEASURED_LANES
    variants: tuple[str, ...] | None = None
    inputs: str | None = None
    budget_s: float = DEFAULT_BUDGET_S
    loop_budget_s: float = DEFAULT_LOOP_BUDGET_S
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [lane for lane in self.lanes if lane not in _MEASURABLE]
        if unknown or not self.lanes:
            raise MeasureError(
                f"cannot measure lane {', '.join(unknown) or '(none)'}: "
                f"choose among {', '.join(_MEASURABLE)}"
            )
        if self.budget_s < _LEAST_BUDGET_S:
            raise MeasureError(
                f"a budget of {self.budget_s:g} s is too little to measure anything: "
                f"give at least {_LEAST_BUDGET_S:g}s a task"
            )

    def concurrencies_for(self, usable_cores: int) -> tuple[int, ...]:
        """The declared ones, or 1, 2, 4 … up to twice the usable cores."""
        if self.concurrencies is not None:
            return self.concurrencies
        levels = [1]
        while levels[-1] * 2 <= 2 * usable_cores:
            levels.append(levels[-1] * 2)
        return tuple(levels)
