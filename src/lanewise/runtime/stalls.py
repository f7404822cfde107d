"""From sampled stacks to whom a stall is put down to: pure, no clock, no thread.

A loop that is late has either run one piece of code for too long, or stood at its selector and was not
let run. The two need opposite remedies, so they are told apart first: by what lies between the loop's own
frame and the top of the stack.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Origin = Literal["user", "library", "standard", "own"]

# What asyncio's own loop calls one turn of itself, and a callback; a loop that was patched to nest has
# turns of its own, of the same name.
_TURN, _CALLBACK = "_run_once", "_run"
_LOOPS = ("base_events.py", "nest_asyncio.py")
# Where asyncio.run() and its like stand: below any callback.
_RUNNERS = "runners.py"
_SHORT = re.compile(
    r"(python3\.\w+|Lib)[/\\]asyncio[/\\]\w+\.py$|lanewise[/\\]runtime[/\\]loop_(watch|lag)\.py$"
)
# A thread that ran for less than this in a stall did not cause it.
_LEAST_CPU_S = 0.01
_LIBRARY_PARTS = ("/site-packages/", "/dist-packages/", "\\site-packages\\")


class Frame(NamedTuple):
    """One frame of a stack."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.function}"


# Outermost first. One whose outer frames are not known begins with CUT.
Stack = tuple[Frame, ...]
CUT = Frame("...", 0, "...")


class Roots(NamedTuple):
    """Where code lies that is not the user's; each ends with a separator."""

    own: tuple[str, ...]
    library: tuple[str, ...]
    standard: tuple[str, ...]


class Runner(NamedTuple):
    """The frame that a loop's callbacks run upon."""

    file: str
    function: str


class Look(NamedTuple):
    """What was seen at one moment.

    Attributes:
        stack: The loop's thread.
        others: Of each other thread that was in the user's code, its identity and its innermost frame
            there.
    """

    stack: Stack
    others: tuple[tuple[int, Frame], ...] = ()


@dataclass(frozen=True, slots=True)
class Blame:
    """Whom the looks of one stall point at.

    Attributes:
        frame: The innermost frame of the user's in the function that was seen most, at the line that
            was seen most; None where the loop's thread ran nothing.
        share: In which share of the looks that function was innermost.
        callback: The stack above the loop, of the last look that saw it.
        stack: The whole stack of that look.
    """

    frame: Frame | None = None
    share: float = 0.0
    callback: Stack = ()
    stack: Stack = ()


def origin(file: str, roots: Roots) -> Origin:
    """Say whose code a file is. Code that was typed in or generated counts as the user's."""
    if file.startswith(roots.own):
        return "own"
    if file.startswith(roots.library) or any(part in file for part in _LIBRARY_PARTS):
        return "library"
    if file.startswith(("<frozen ", *roots.standard)):
        return "standard"
    return "user"


def callback_of(stack: Stack, runner: Runner | None) -> Stack | None:
    """Return what the loop was running, outermost first; None where it ran nothing.

    Empty where it ran a function written in C, which has no frame.

    Args:
        stack: The loop's thread.
        runner: What its callbacks run upon, None before the first callback. On asyncio's loops a frame
            for each callback, on others the frame that runs the loop.
    """
    callback = _above_the_loop(stack, runner)
    # The loop's own callbacks and its watch's are short: in them it waits for the lock or for a core.
    if callback and all(_SHORT.search(frame.file) for frame in callback):
        return None
    return callback


def _above_the_loop(stack: Stack, runner: Runner | None) -> Stack | None:
    turn = _last(stack, lambda frame: frame.function == _TURN and frame.file.endswith(_LOOPS))
    if turn is not None:
        above = stack[turn + 1 :]
        return above[1:] if above and above[0].function == _CALLBACK else None
    if not stack or stack[-1].file.endswith(_LOOPS):
        return None
    if stack[0] == CUT:
        return stack
    below = _last(stack, lambda frame: (frame.file, frame.function) == runner)
    if below is None:
        below = _last(stack, lambda frame: frame.file.endswith(_RUNNERS))
    return stack if below is None else stack[below + 1 :] or None


def _last(stack: Stack, wanted: Callable[[Frame], bool]) -> int | None:
    return next((at for at in range(len(stack) - 1, -1, -1) if wanted(stack[at])), None)


def innermost(stack: Stack, roots: Roots) -> Frame | None:
    """Return the innermost frame of the user's, else of a library, else of all."""
    for wanted in ("user", "library"):
        for frame in reversed(stack):
            if origin(frame.file, roots) == wanted:
                return frame
    return stack[-1] if stack else None


def users_frame(stack: Stack, roots: Roots) -> Frame | None:
    """Return the innermost frame of the user's, if there is one."""
    return next((frame for frame in reversed(stack) if origin(frame.file, roots) == "user"), None)


def blame(looks: Sequence[Look], runner: Runner | None, roots: Roots) -> Blame:
    """Find out what the loop was doing in a stall.

    Where in half of the looks or more it ran nothing, nobody on its thread is to blame.
    """
    seen: list[tuple[Frame, Stack, Stack]] = []
    for look in looks:
        callback = callback_of(look.stack, runner)
        if callback is not None:
            frame = innermost(callback, roots) or look.stack[-1]
            seen.append((frame, callback, look.stack))
    if 2 * len(seen) <= len(looks):
        return Blame(stack=looks[-1].stack if looks else ())
    frame, count = _most_seen(frame for frame, _, _ in seen)
    _, callback, stack = [one for one in seen if one[0] == frame][-1]
    return Blame(frame, count / len(looks), callback, stack)


def holder(looks: Sequence[Look], cpu_s: Mapping[int, float]) -> Frame | None:
    """Guess which other thread kept the loop's from running: the frame it was seen at most.

    Args:
        looks: Of one stall.
        cpu_s: CPU time of the threads in the stall, by identity, as far as it is known. A thread that was
            waiting itself stands in the user's code as well, so those that ran go first.
    """
    others = [other for look in looks for other in look.others]
    ran = [other for other in others if other[0] in cpu_s]
    if ran:
        most = max(ran, key=lambda other: cpu_s[other[0]])[0]
        others = [one for one in ran if one[0] == most and cpu_s[most] >= _LEAST_CPU_S]
    counts = Counter(_function(frame) for _, frame in others).most_common(2)
    if not counts or (len(counts) > 1 and counts[0][1] == counts[1][1]):
        return None  # an innocent one would be named as often as not
    return _most_seen(frame for _, frame in others)[0]


def thinned(looks: list[Look]) -> list[Look]:
    """Keep every second one, which leaves all shares as they are."""
    return list(itertools.islice(looks, 0, None, 2))


def _most_seen(frames: Iterable[Frame]) -> tuple[Frame, int]:
    """The function seen most, at its line seen most, and how often that function was seen."""
    frames = list(frames)
    (function, count), *_ = Counter(map(_function, frames)).most_common(1)
    lines = Counter(frame for frame in frames if _function(frame) == function)
    return lines.most_common(1)[0][0], count


def _function(frame: Frame) -> tuple[str, str]:
    return frame.file, frame.function
