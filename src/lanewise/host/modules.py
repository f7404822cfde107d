"""Which packages this environment has."""

from __future__ import annotations

import importlib.util


def module_present(name: str) -> bool:
    """Whether ``name`` could be imported; parents of a dotted name are imported to find out."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError, AttributeError):
        return False
