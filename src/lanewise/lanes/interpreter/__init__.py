"""The interpreter lane: calls in isolated interpreters of this process, each with its own lock.

Modules:
    lane.py       ``InterpreterLane``, what callers see
    packing.py    from a function and its arguments to what crosses
    crew.py       which interpreter runs what, and what waits
    link.py       one interpreter as the event loop sees it: frames out, frames in
    home.py       the thread and the interpreter behind a link
    imports.py    whether a module may be imported there, tried in a process that is thrown away
    hazards.py    forks beside live interpreters, and the end of the program
"""

from lanewise.lanes.interpreter.lane import InterpreterLane

__all__ = ["InterpreterLane"]
