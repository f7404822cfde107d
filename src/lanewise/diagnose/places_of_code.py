"""Whose code a frame is, and what its function is called in the program. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from lanewise.diagnose.session import Frame
from lanewise.runtime import stalls
from lanewise.runtime.stalls import Roots

_STANDARD = re.compile(r"^(.*[/\\](?:python3\.\d+t?|Lib)[/\\])")
_OWN = re.compile(
    r"^(.*[/\\](?:_lanewise_worker|lanewise[/\\](?:runtime|lanes|web|cli|measuring|diagnose))[/\\])"
)


def roots_of(frames: Iterable[Frame]) -> Roots:
    """Find out from the files that were seen where code lies that is not the user's."""
    files = {frame.file for frame in frames}
    standard = {found[1] for file in files if (found := _STANDARD.match(file))}
    own = {found[1] for file in files if (found := _OWN.match(file))}
    return Roots(own=tuple(sorted(own)), library=(), standard=tuple(sorted(standard)))


# ``gunicorn``, ``celery``: scripts that an installer made, which only call what was installed.
_LAUNCHER = re.compile(r"[/\\](?:bin|Scripts)[/\\][^/\\.]+(?:\.exe)?(?:[/\\]__main__\.py)?$")
# What the standard library compiles for a class, as dataclasses do.
_GENERATED = "__create_fn__."


def _nobodys(frame: Frame) -> bool:
    """Whether it counts as the user's by where it lies, and yet nobody wrote it."""
    launcher = frame.name == "<module>" and _LAUNCHER.search(frame.file)
    return bool(launcher) or frame.qualname.startswith(_GENERATED)


def _is_part_of(frame: Frame, outer: Frame) -> bool:
    """Whether it is a comprehension or the like that the function around it runs itself."""
    around, _, name = frame.qualname.rpartition(".<locals>.")
    return name.endswith(("comp>", "genexpr>")) and around == outer.qualname


def charged(stack: Sequence[Frame], roots: Roots) -> Frame | None:
    """The frame that a look is charged to: the innermost of the user's, else of a library, else of all.

    Args:
        stack: Innermost first.
        roots: Where other code lies.
    """
    for wanted in ("user", "library"):
        for at, frame in enumerate(stack):
            if stalls.origin(frame.file, roots) == wanted and not _nobodys(frame):
                outer = stack[at + 1] if at + 1 < len(stack) else frame
                return outer if _is_part_of(frame, outer) else frame
    return stack[0] if stack else None


def as_seen_by_the_watch(stack: Sequence[Frame]) -> stalls.Stack:
    """The same stack as the loop's watch has it: outermost first."""
    return tuple(stalls.Frame(one.file, one.line, one.name) for one in reversed(stack))


def dotted(frame: Frame) -> str:
    """The function with its module, as far as the path tells: ``app.views.export``.

    ``/srv/shop/app/views.py`` gives ``srv.shop.app.views.export``: where the project begins cannot
    be seen from a path, so names are compared from their end.
    """
    path = re.sub(r"\.pyc?$", "", frame.file.replace("\\", "/"))
    parts = [part for part in path.split("/") if part]
    if parts and parts[-1] == "__init__":
        parts.pop()
    return ".".join([*parts, *frame.qualname.replace(".<locals>", "").split(".")])


def means(words: str, frame: Frame) -> bool:
    """Whether ``app.views.export`` means this function: whole names, from the end."""
    wanted = words.replace(":", ".").split(".")
    return dotted(frame).split(".")[-len(wanted) :] == wanted


def measurable(frame: Frame, root: str) -> str | None:
    """The target that ``lanewise measure`` takes, ``app.views:export``; None for what cannot be imported.

    Args:
        frame: Of the function.
        root: The folder that the program was started in, which is where modules are looked for
            first.
    """
    path = frame.file.replace("\\", "/")
    folder = root.replace("\\", "/").rstrip("/") + "/"
    if not root or not path.startswith(folder) or not path.endswith(".py"):
        return None
    parts = path[len(folder) : -len(".py")].split("/")
    if parts[0] == "src":
        parts = parts[1:]
    simple = frame.qualname.isidentifier() and all(part.isidentifier() for part in parts)
    return f"{'.'.join(parts)}:{frame.qualname}" if simple and parts else None
