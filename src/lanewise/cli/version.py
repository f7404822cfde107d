"""Which lanewise this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def library_version() -> str:
    """Return the installed version; running from bare files has none."""
    try:
        return version("lanewise")
    except PackageNotFoundError:
        return "0 (from files)"
