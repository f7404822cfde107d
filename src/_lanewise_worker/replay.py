"""What workers said, said again in the parent."""

from __future__ import annotations

import codecs
import contextlib
import logging
import pickle
import sys
import warnings
from collections import deque
from typing import Any

_TAIL_LINES = 20
_TAIL_BYTES = 4_096
_FAULT = "Fatal Python error"

# Where each warning was shown already, by file, as ``warnings`` keeps it by module. Owner: the thread of
# the loop; two loops in two threads may at worst show one warning twice.
_shown: dict[str, dict[Any, Any]] = {}


def collect_levels() -> dict[str, int]:
    """Return the level of every logger that has one of its own, so that workers send nothing in vain."""
    root = logging.getLogger()
    levels = {"": root.getEffectiveLevel()}
    for name, logger in list(root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and logger.level:
            levels[name] = logger.level
    return levels


def replay_log(data: bytes) -> None:
    """Hand a worker's record to the logger of the same name. Never raises."""
    try:
        record = logging.makeLogRecord(pickle.loads(data))  # noqa: S301 - because: from the own worker
        logger = logging.getLogger(record.name)
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)
    except Exception:
        logging.getLogger("lanewise").debug("a worker's log record was lost", exc_info=True)


def replay_warning(data: bytes) -> None:
    """Issue a worker's warning here, at the same place. Never raises, whatever the filters say."""
    (module, name), text, filename, lineno = pickle.loads(data)  # noqa: S301 - because: from the own worker
    category: Any = getattr(sys.modules.get(module), name, UserWarning)
    if not (isinstance(category, type) and issubclass(category, Warning)):
        category = UserWarning
    try:
        warnings.warn_explicit(
            text, category, filename, lineno, registry=_shown.setdefault(filename, {})
        )
    except Warning as raised:
        # A filter makes an error of it; but the call that caused it is over, and this is the loop.
        logging.getLogger("lanewise.worker").warning("%s:%s: %s", filename, lineno, raised)


class OutputRelay:
    """One worker's stdout and stderr, passed on to this process's. Owner: the lane's loop."""

    def __init__(self, *, echo: bool = True) -> None:
        self._echo = echo
        self._decoders = {
            name: codecs.getincrementaldecoder("utf-8")("backslashreplace")
            for name in ("stdout", "stderr")
        }
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._rest = ""

    def feed(self, stream: str, data: bytes) -> None:
        """Pass on what came. Never raises: the parent's stream may be closed, or absent."""
        text = self._decoders[stream].decode(data)
        if stream == "stderr":
            *lines, self._rest = (self._rest + text).split("\n")
            self._tail.extend(lines)
        if self._echo and text:
            self._write(stream, text)

    def flush(self) -> None:
        """Pass on what was incomplete."""
        for stream, decoder in self._decoders.items():
            text = decoder.decode(b"", final=True)
            if self._echo and text:
                self._write(stream, text)

    def tail(self) -> str:
        """Return the last lines that the worker wrote to stderr."""
        lines = [*self._tail, *([self._rest] if self._rest else [])]
        return "\n".join(lines)[-_TAIL_BYTES:].strip()

    def fault(self) -> str:
        """Return what faulthandler wrote when the worker crashed, or nothing."""
        text = "\n".join([*self._tail, self._rest])
        at = text.rfind(_FAULT)
        return "" if at < 0 else text[at:].strip()[:_TAIL_BYTES]

    @staticmethod
    def _write(stream: str, text: str) -> None:
        target = getattr(sys, stream)
        if target is not None:
            with contextlib.suppress(OSError, ValueError):
                target.write(text)
                target.flush()
