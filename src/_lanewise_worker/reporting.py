"""What a worker says besides its results: log records, warnings, and what it prints."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import pickle
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any

# What every record has; anything beyond came with ``extra=``.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PLAIN = (str, int, float, bool, type(None))
_NAMES = ("stdout", "stderr")


# --- log records ----------------------------------------------------------------------------------


class _Shipper(logging.Handler):
    """Sends records away. Any thread may log: ``send`` keeps messages whole."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        super().__init__()
        self._send = send
        self._pid = os.getpid()

    def emit(self, record: logging.LogRecord) -> None:
        # What the user's code forked has the same socket, in which its records would cut ours in two.
        if os.getpid() != self._pid:
            if logging.lastResort is not None and record.levelno >= logging.lastResort.level:
                logging.lastResort.handle(record)
            return
        try:
            self._send(pack_record(record))
        except Exception:  # noqa: BLE001 - because: logging must not harm the call that logs
            self.handleError(record)


def pack_record(record: logging.LogRecord) -> bytes:
    """Turn a record into bytes: its message formatted, since its arguments may not pickle."""
    told: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in vars(record).items():
        if name not in _OWN:
            extra[name] = value if type(value) in _PLAIN else _packed(value)
        else:
            told[name] = _plain(value)
    try:
        told["msg"] = f"{record.getMessage()}"
    except Exception as error:  # noqa: BLE001 - because: a wrong format is the user's
        told["msg"] = f"{_shown(record.msg)} (its arguments do not fit it: {_shown(error)})"
    told["args"] = None
    if record.exc_info and not record.exc_text:
        told["exc_text"] = logging.Formatter().formatException(record.exc_info)
    told["exc_info"] = None
    told["process"] = record.process or os.getpid()
    told["processName"] = f"lanewise-worker-{told['process']}"
    return pickle.dumps((told, extra), 5)


def _plain(value: Any) -> Any:
    """Of a subclass (levels may be an IntEnum) the value, of anything else nothing."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    return value if type(value) in _PLAIN else None


def _packed(value: Any) -> bytes | str:
    """Pickle a value apart, since its class may be missing in the parent; repr where that fails."""
    try:
        return pickle.dumps(value, 5)
    except Exception:  # noqa: BLE001 - because: __reduce__ may raise anything
        return _shown(value)


def _shown(value: Any) -> str:
    try:
        return f"{value!r}"
    except Exception:  # noqa: BLE001 - because: it is the user's
        return f"<a {type(value).__name__}>"


def ship_logging(send: Callable[[bytes], None], levels: dict[str, int]) -> None:
    """Send this process's log records to the parent, from the levels that its loggers have.

    Loggers that do not propagate are left alone.

    Args:
        send: Sends one record; called by any thread. What it raises is told as ``logging`` does it.
        levels: The parent's, see :func:`_lanewise_worker.replay.collect_levels`.
    """
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.addHandler(_Shipper(send))


# --- warnings -------------------------------------------------------------------------------------


def ship_warnings(send: Callable[[bytes], None]) -> None:
    """Send this process's warnings to the parent, whose filters decide about them.

    Each is sent once for its place, also those that Python ignores unless asked. What the command line
    asks for (``-W``) holds here as it does there. ``send`` is called by any thread.
    """
    if not sys.warnoptions:
        warnings.simplefilter("default")
    before, pid = warnings.showwarning, os.getpid()

    def show(  # noqa: PLR0913 - because: the signature of warnings.showwarning
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: Any = None,
        line: str | None = None,
    ) -> None:
        if (
            file is not None or os.getpid() != pid
        ):  # for somebody else, or from a fork of this process
            before(message, category, filename, lineno, file, line)
            return
        where = (category.__module__, category.__qualname__)
        with contextlib.suppress(Exception):  # a warning must not harm the call that warns
            told = (where, f"{message!s}", f"{filename!s}", lineno, _module_of(filename))
            send(pickle.dumps(told, 5))

    warnings.showwarning = show


def _module_of(filename: str) -> str | None:
    """The name of the module in a file, by which filters may choose."""
    for name, module in sys.modules.copy().items():
        # Not by getattr, which would make modules that are loaded when they are needed.
        if isinstance(module, types.ModuleType) and vars(module).get("__file__") == filename:
            return "__main__" if name == "__mp_main__" else name
    return None


# --- what is printed ------------------------------------------------------------------------------


class _Noted(io.BufferedWriter):
    """A buffer over a descriptor that notes that something was written to it, or that it was closed."""

    written = False

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        finally:
            # Afterwards: another thread may settle meanwhile, and what it could not flush yet must be
            # flushed the next time.
            self.written = True

    def close(self) -> None:
        self.written = True
        super().close()


class Output:
    """This process's stdout and stderr. Owner: the main thread; others may print."""

    def __init__(self) -> None:
        # Kept: a stream that nobody refers to is closed.
        self._texts = [_opened(name) for name in _NAMES]
        self._out, self._err = (buffer for _, buffer in self._texts)
        for name, (text, _) in zip(_NAMES, self._texts, strict=True):
            # The second is what a program restores to after it redirected its output.
            for place in (name, f"__{name}__"):
                setattr(sys, place, text)

    def settle(self) -> bool:
        """Flush; return whether Python code wrote anything since the last time. Never raises.

        A stream that was closed is opened again, for calls to come.
        """
        if not (self._out.written or self._err.written):
            return False
        for number, (text, buffer) in enumerate(self._texts):
            buffer.written = False
            try:
                if buffer.closed:
                    self._texts[number] = _reopened(_NAMES[number], text)
                else:
                    buffer.flush()
            except BlockingIOError:
                buffer.written = True  # the user's code made it non-blocking: the next time, then
            except (OSError, ValueError):
                continue  # the descriptor was closed, or nobody reads: nothing that can be mended here
        self._out, self._err = (buffer for _, buffer in self._texts)
        return True


def _opened(name: str) -> tuple[io.TextIOWrapper, _Noted]:
    raw = io.FileIO(_NAMES.index(name) + 1, "w", closefd=False)
    raw.name = f"<{name}>"
    buffer = _Noted(raw)
    # Written through, so that the buffer knows of all that was printed.
    text = io.TextIOWrapper(
        buffer,
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=True,
        write_through=True,
    )
    text.mode = "w"  # type: ignore[misc]  # because: its own streams have it too
    return text, buffer


def _reopened(name: str, closed: io.TextIOWrapper) -> tuple[io.TextIOWrapper, _Noted]:
    """Put a new stream wherever the closed one still is; elsewhere the user wants another."""
    text, buffer = _opened(name)
    for place in (name, f"__{name}__"):
        if getattr(sys, place, None) is closed:
            setattr(sys, place, text)
    return text, buffer


def capture_output() -> Output:
    """Replace ``sys.stdout`` and ``sys.stderr`` by streams over descriptors 1 and 2."""
    return Output()
