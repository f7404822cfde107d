"""Where a host's calibration is kept between two programs' runs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path

from lanewise.errors import MeasureError
from lanewise.measuring.store import write_atomically
from lanewise.model.facts import Calibration

# Machines change slowly, and what runs beside us does not: a day.
_FRESH_S = 86_400.0
# Of the form below; what another version wrote is not read.
_FORM = 2


def kept_calibration(fingerprint: str, lanes: tuple[str, ...]) -> Calibration | None:
    """Return what was kept for a host like this one; None where there is nothing fresh.

    A clock that was set back makes it look as if it came from the future: then it is stale.
    """
    try:
        data = json.loads(_path(fingerprint, lanes).read_text(encoding="utf-8"))
        age_s = time.time() - data["made_at_s"]
        if data["form"] != _FORM or not 0 <= age_s <= _FRESH_S:
            return None
        found = Calibration.from_dict(data["calibration"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # whatever is wrong with it, another one takes half a second
    return found if found.fingerprint == fingerprint else None


def keep_calibration(calibration: Calibration, lanes: tuple[str, ...]) -> None:
    """Keep it, where there is a place to; two programs that do so at once both leave a whole one."""
    data = {"form": _FORM, "made_at_s": time.time(), "calibration": calibration.as_dict()}
    with contextlib.suppress(OSError, MeasureError):
        path = _path(calibration.fingerprint, lanes)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(data, indent=1))


def forget_calibration(fingerprint: str, lanes: tuple[str, ...]) -> None:
    """Let the next program measure again: what was kept has turned out to be wrong."""
    with contextlib.suppress(OSError):
        _path(fingerprint, lanes).unlink(missing_ok=True)


def _path(fingerprint: str, lanes: tuple[str, ...]) -> Path:
    own = os.environ.get("LANEWISE_CACHE_DIR")
    shared = os.environ.get("XDG_CACHE_HOME")
    try:
        folder = Path(own) if own else Path(shared or Path.home() / ".cache") / "lanewise"
    except RuntimeError as error:  # no home directory can be determined
        raise OSError(str(error)) from error
    key = hashlib.sha256("|".join((fingerprint, *sorted(lanes))).encode()).hexdigest()[:16]
    return folder / f"calibration-{key}.json"
