"""For the tests of others: a lane that runs calls inline, and what any lane must pass.

Needs no test runner: :class:`LaneContract` is a class with ``test_`` methods and plain asserts, so
pytest collects it from a subclass, and so does any other runner.
"""

from lanewise.readiness.stress.far_side.scheduler import Pause
from lanewise.testing.clock import FakeClock
from lanewise.testing.gate import Gate
from lanewise.testing.inline import InlineLane, RecordedCall
from lanewise.testing.interleaving import Interleaved, interleave
from lanewise.testing.lane_contract import LaneContract
from lanewise.testing.leftovers import Leftovers
from lanewise.testing.parity import ParityReport, check_parity

__all__ = [
    "FakeClock",
    "Gate",
    "InlineLane",
    "Interleaved",
    "LaneContract",
    "Leftovers",
    "ParityReport",
    "Pause",
    "RecordedCall",
    "check_parity",
    "interleave",
]
