"""What this host's lanes cost, corrected by calls that cross for less."""

from __future__ import annotations

from dataclasses import replace

from lanewise.model.facts import Calibration, LaneCost
from lanewise.model.lane import LaneName

# A crossing that took less than this part of what was calibrated shows that the machine was busy then.
_FAR_LESS = 0.5
_LEAST_S = 1e-6


class HostCosts:
    """A calibration that may turn out to be too high. Owner: the router.

    Calibration takes a fraction of a second, in which the machine may have been busy with something
    else. What it found then would keep calls from processes for as long as it is kept. A crossing can
    take longer than the lane itself does for a hundred reasons, but never less: one that was seen to
    be far quicker proves that the calibration was wrong, and says by how much at least.

    Args:
        calibration: What was measured or kept; None where there is nothing to choose.
    """

    def __init__(self, calibration: Calibration | None) -> None:
        self.calibration = calibration
        self.was_wrong = False

    def know(self, lane: LaneName, cost: LaneCost) -> None:
        """A lane has come that was not there when the others were measured, or has changed."""
        if self.calibration is not None:
            lanes = {**self.calibration.lanes, lane: cost}
            self.calibration = replace(self.calibration, lanes=lanes)

    def crossed(self, lane: LaneName, beyond_s: float) -> bool:
        """A call was on its lane so many seconds longer than it ran; return whether that is news.

        What is not above 0 is no such time but a reading that went wrong, and is ignored.
        """
        if beyond_s <= 0:
            return False
        own = None if self.calibration is None else self.calibration.lanes.get(lane)
        dispatch_s = max(beyond_s, _LEAST_S)
        if self.calibration is None or own is None or dispatch_s >= _FAR_LESS * own.dispatch_s:
            return False
        better = replace(own, dispatch_s=dispatch_s, per_call_s=min(own.per_call_s, dispatch_s))
        lanes = {**self.calibration.lanes, lane: better}
        self.calibration = replace(self.calibration, lanes=lanes)
        self.was_wrong = True
        return True
