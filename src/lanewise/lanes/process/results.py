"""What a worker answered, as the caller is to get it."""

from __future__ import annotations

import time
from typing import Any, Protocol

from _lanewise_worker import wire
from _lanewise_worker.call import FarSideError
from _lanewise_worker.journal import load_entry
from _lanewise_worker.main_module import UNGUARDED
from _lanewise_worker.traces import unpack_exception
from lanewise.errors import NotPortableError
from lanewise.model.lane import CallReport, Failed

_REMEDY = ". Check its __reduce__ or __setstate__, and that workers can import its module"


class Loads(Protocol):
    """One worker, or interpreter, as the loop sees it."""

    def load(self, flags: int, body: Any, report: CallReport | None = None) -> Any:
        """Make a value again that it sent."""


def load_chunk(link: Loads, name: str, flags: int, body: Any, count: int) -> list[Any]:
    """Make the results of some items again; what an item raised is a :class:`Failed`.

    They come in one pickle, so where one cannot be made again all of them have failed.
    """
    try:
        results: list[Any]
        results, failed = link.load(flags, body)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - because: what a result does when it is made again is the user's
        return [Failed(not_loaded(name, error))] * count
    for place, packed in failed.items():
        results[place] = Failed(not_portable(name, unpack_exception(packed)))
    return results


def note_run(report: CallReport, ticks: int) -> None:
    """Note how long a call ran, unless that was told already and without what watching it took."""
    if report.run_s is None:
        report.run_s = ticks / wire.TICKS_PER_S


def load_noted(link: Loads, report: CallReport, flags: int, ticks: int, body: Any) -> Any:
    """Make a result again, and note what that took and how long the call ran."""
    note_run(report, ticks)
    began = time.perf_counter()
    result = link.load(flags, body, report)
    report.near_s = (report.near_s or 0.0) + time.perf_counter() - began
    return result


def journaled(name: str, entry: Any) -> Any:
    """Return what an item gave whose worker has died since; a :class:`Failed` for what it raised."""
    try:
        failed, value = load_entry(entry)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - because: what a result does when it is made again is the user's
        return Failed(not_loaded(name, error))
    return Failed(not_portable(name, unpack_exception(value))) if failed else value


def not_portable(name: str, error: BaseException) -> BaseException:
    """Return the error that the caller gets: the function's own, or why something could not cross."""
    if not isinstance(error, FarSideError):
        if isinstance(error, NotPortableError):
            error.started = True  # of a call that this call made: this one has run
        return error
    if error.what == "arguments":
        told = NotPortableError(
            f"the function or an argument of {name} arrived in a worker and could not be made again "
            f"there: {error.words}{'' if UNGUARDED in error.words else _REMEDY}"
        )
    elif error.what == "result":
        told = NotPortableError(
            f"the result of {name} cannot come back: {error.words}", started=True
        )
    else:
        told = NotPortableError(
            f"{name} raised an exception that cannot cross between processes: {error.words}. Give that "
            "exception a constructor which takes its args, or a __reduce__",
            started=True,
        )
    told.__cause__ = error.__cause__
    return told.with_traceback(error.__traceback__)


def not_loaded(name: str, error: BaseException) -> NotPortableError:
    """Return the error for a result that arrived and could not be made again here."""
    told = NotPortableError(
        f"the result of {name} arrived, but could not be made again here: "
        f"{type(error).__module__}.{type(error).__qualname__}: {error}. Check its __reduce__ or "
        "__setstate__, and that this process can import its module",
        started=True,
    )
    told.__cause__ = error
    return told
