"""One hazard and its twin.

They were written from what goes wrong at run time, before anybody looked at how the rules see it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """One hazard and its twin.

    Attributes:
        name: What the shape is.
        rules: One of these must be found, at warning or above.
        hazard: Source that breaks once threads run at once.
        twin: Source of the same shape that does not: nothing at warning or above may be found.
    """

    name: str
    rules: tuple[str, ...]
    hazard: str
    twin: str
