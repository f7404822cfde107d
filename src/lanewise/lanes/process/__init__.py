"""The process lane: isolated workers, each with an interpreter and a lock of its own.

From what everything rests on upwards::

    pool.py        who gets which call: a state machine without clock and I/O
    deaths.py      why a worker died, and which functions kill worker after worker
    handles.py     objects that are sent to each worker once
    outgoing.py    what the lane knows of a call
    births.py      what connects the parent to one worker
    launcher.py    the process that starts workers, as the parent sees it
    link.py        one worker: frames out, frames in
    sending.py     calls into frames, large values into shared memory
    upkeep.py      what is looked at from time to time
    crew.py        carries out what the pool says
    lane.py        ProcessLane: what callers see
"""

from lanewise.lanes.process.counts import WorkerStatistics
from lanewise.lanes.process.handles import Shared
from lanewise.lanes.process.lane import ProcessLane

__all__ = ["ProcessLane", "Shared", "WorkerStatistics"]
