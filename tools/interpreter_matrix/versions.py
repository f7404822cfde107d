"""The versions there are, the way each may be had, and what is known of one found.

A version is named by its key, such as "3.13t".  One that cannot be had is an
`Unavailable` all through the package, and the sentence in it is what the user reads.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

NATIVE_ONLY = ("3.11", "3.12", "3.13")
SOURCE_BUILT = ("3.13t",)
SID = ("3.14", "3.15")
VERSIONS = ("3.11", "3.12", "3.13", "3.13t", "3.14", "3.15")


class Unavailable(Exception):
    """Why a version cannot be had: one plain sentence."""


class Interpreter(NamedTuple):
    version: str  # the key: "3.13t"
    kind: str  # "native", "built" or "chroot"
    python: str  # the executable; inside the root for a chrooted one
    full: str  # "3.13.5"
    root: Optional[str]  # the chroot's root
    lacks: tuple[str, ...]  # the wanted modules that it has not
