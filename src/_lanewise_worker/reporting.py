"""What a worker says besides its results: log records, warnings, and what it prints."""

from __future__ import annotations

import io
import logging
import pickle
import sys
import warnings
from collections.abc import Callable
from typing import Any

# What every record has; anything beyond came with ``extra=``.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _Shipper(logging.Handler):
    """Sends records away. Any thread may log: ``send`` keeps messages whole."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._send(pack_record(record))
        except Exception:  # noqa: BLE001 - because: logging must not harm the call that logs
            self.handleError(record)


def pack_record(record: logging.LogRecord) -> bytes:
    """Turn a record into bytes: its message formatted, since its arguments may not pickle."""
    told = {name: value for name, value in vars(record).items() if name in _OWN}
    try:
        told["msg"] = record.getMessage()
    except Exception as error:  # noqa: BLE001 - because: a wrong format is the user's
        told["msg"] = f"{record.msg!r} (its arguments do not fit it: {error})"
    told["args"] = None
    if record.exc_info and not record.exc_text:
        told["exc_text"] = logging.Formatter().formatException(record.exc_info)
    told["exc_info"] = None
    told["processName"] = f"lanewise-worker-{record.process}"
    for name in vars(record).keys() - _OWN:
        value = vars(record)[name]
        try:
            pickle.dumps(value, 5)
        except Exception:  # noqa: BLE001 - because: __reduce__ may raise anything
            value = repr(value)
        told[name] = value
    return pickle.dumps(told, 5)


def ship_logging(send: Callable[[bytes], None], levels: dict[str, int]) -> None:
    """Send this process's log records to the parent, from the levels that its loggers have."""
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.addHandler(_Shipper(send))


def ship_warnings(send: Callable[[bytes], None]) -> None:
    """Send this process's warnings to the parent."""

    def show(  # noqa: PLR0913 - because: the signature of warnings.showwarning
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: Any = None,
        line: str | None = None,
    ) -> None:
        del file, line
        where = (category.__module__, category.__qualname__)
        send(pickle.dumps((where, str(message), filename, lineno), 5))

    warnings.showwarning = show


class _Noted(io.BufferedWriter):
    """A buffer over a descriptor that notes that something was written to it."""

    written = False

    def write(self, data: Any) -> int:
        self.written = True
        return super().write(data)


class Output:
    """This process's stdout and stderr. Owner: the main thread; others may print."""

    def __init__(self) -> None:
        self._out, self._err = (_Noted(io.FileIO(fd, "w", closefd=False)) for fd in (1, 2))
        # Written through, so that the buffer knows of all that was printed.
        self._text = [
            io.TextIOWrapper(
                buffer,
                encoding="utf-8",
                errors="backslashreplace",
                line_buffering=True,
                write_through=True,
            )
            for buffer in (self._out, self._err)
        ]
        sys.stdout, sys.stderr = self._text
        # What a program restores to after it redirected its output.
        vars(sys).update(__stdout__=self._text[0], __stderr__=self._text[1])

    def settle(self) -> bool:
        """Flush; return whether anything was written since the last time."""
        if not (self._out.written or self._err.written):
            return False
        for buffer in (self._out, self._err):
            buffer.written = False
            if not buffer.closed:
                buffer.flush()
        return True


def capture_output() -> Output:
    """Replace ``sys.stdout`` and ``sys.stderr`` by streams over descriptors 1 and 2."""
    return Output()
