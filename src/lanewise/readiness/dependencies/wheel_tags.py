"""What a wheel's tags say about free-threaded interpreters.

Tags are ``python-abi-platform`` (PyPA specification "Platform compatibility tags"). Four families of
ABI matter here: ``cp314t`` is one free-threaded version; ``abi3`` is the stable ABI of builds with the
lock, which free-threaded builds do not load; ``abi3t`` (PEP 803, from 3.15) is the stable ABI that
free-threaded builds load; ``none`` needs no particular interpreter. A tag says what can be installed.
Whether the lock stays off is said by the modules themselves (``slots.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Family = Literal["pure", "native", "free_threaded", "abi3t", "abi3", "gil", "other"]

_FREE_THREADED = re.compile(r"^cp3\d+td?$")
_GIL = re.compile(r"^cp3\d+d?$")
# abi3t came with 3.15 (PEP 803): older free-threaded interpreters do not load such files.
_ABI3T_FROM = (3, 15)


@dataclass(frozen=True, slots=True)
class WheelTag:
    """One compatibility tag, taken apart.

    Attributes:
        interpreter: Such as ``cp313`` or ``py3``.
        abi: Such as ``cp313t``, ``abi3``, ``abi3t`` or ``none``.
        platform: Such as ``manylinux_2_28_x86_64`` or ``any``.
    """

    interpreter: str
    abi: str
    platform: str

    @property
    def family(self) -> Family:
        """To whom it speaks. ``native``: binaries, but none that Python imports by its own ABI."""
        if self.abi == "none":
            return "pure" if self.platform == "any" else "native"
        if self.abi in {"abi3", "abi3t"}:
            return "abi3t" if self.abi == "abi3t" else "abi3"
        if _FREE_THREADED.match(self.abi):
            return "free_threaded"
        return "gil" if _GIL.match(self.abi) else "other"

    @property
    def oldest_version(self) -> tuple[int, int] | None:
        """The version in ``interpreter``; None for one without a minor number, such as ``py3``."""
        found = re.fullmatch(r"[a-z]+(\d)(\d+)", self.interpreter)
        return None if found is None else (int(found[1]), int(found[2]))

    def installs_on(self, version: tuple[int, int]) -> bool:
        """Whether a free-threaded CPython of this version takes it, the platform set aside."""
        oldest = self.oldest_version
        match self.family:
            case "pure" | "native":
                return oldest is None or oldest <= version
            case "free_threaded":
                return oldest == version
            case "abi3t":
                return version >= max(_ABI3T_FROM, oldest or _ABI3T_FROM)
        return False


def parse_tags(texts: Iterable[str]) -> tuple[WheelTag, ...]:
    """Take tags apart, compressed ones (``cp315-abi3.abi3t-linux_x86_64``) included.

    The package ``packaging`` would do it too, but knows ``abi3t`` from its version 26 on only.
    """
    found = []
    for text in texts:
        parts = text.split("-")
        if len(parts) == 3:  # noqa: PLR2004 - because: the three parts of a tag
            found += [
                WheelTag(interpreter, abi, platform)
                for interpreter in parts[0].split(".")
                for abi in parts[1].split(".")
                for platform in parts[2].split(".")
            ]
    return tuple(dict.fromkeys(found))


def free_threaded_support(tags: Iterable[WheelTag], version: tuple[int, int]) -> str:
    """Say what an installed wheel's tags mean for the free-threaded build of a version.

    Args:
        tags: Of one wheel.
        version: Such as ``(3, 14)`` for ``cp314t``.
    """
    tags = tuple(tags)
    target = f"cp{version[0]}{version[1]}t"
    if not tags:
        return f"{target}: not installed from a wheel, so nothing is known"
    families = {tag.family for tag in tags}
    if any(tag.installs_on(version) for tag in tags):
        how = {
            "pure": "pure Python",
            "native": "binaries without an interpreter's ABI",
            "abi3t": "abi3t",
        }
        by = next(tag for tag in tags if tag.installs_on(version))
        return f"{target}: this wheel installs ({how.get(by.family, by.abi)})"
    if families == {"abi3"}:
        stable = " or an abi3t one" if version >= _ABI3T_FROM else ""
        return (
            f"{target}: this wheel is abi3, which free-threaded interpreters do not load; needs one "
            f"of its own{stable}"
        )
    return f"{target}: this wheel is for {several_abis(tags)} only; needs one of its own"


def several_abis(tags: Iterable[WheelTag]) -> str:
    """The ABIs of these tags, for a sentence."""
    return " and ".join(sorted({tag.abi for tag in tags}))
