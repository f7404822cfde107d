"""What does another interpreter buy a task: the same calls on each lane, here and there.

``session.py`` measures, ``samples.py`` decides which samples count and what they say, ``text.py`` tells
it.
"""

from lanewise.readiness.buys.samples import InterpreterYield, LaneYield, TaskBuys
from lanewise.readiness.buys.session import BuysOptions, what_it_buys
from lanewise.readiness.buys.text import render_buys

__all__ = [
    "BuysOptions",
    "InterpreterYield",
    "LaneYield",
    "TaskBuys",
    "render_buys",
    "what_it_buys",
]
