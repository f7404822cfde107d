"""What workers said, said again in the parent."""

from __future__ import annotations

import codecs
import logging
import pickle
import sys
import warnings
from collections import deque
from typing import Any

_TAIL_LINES = 20
_TAIL_LETTERS = 4_096
_FAULT = "Fatal Python error"
# A line that gets no end is passed on in pieces of this length.
_MAX_HELD_LETTERS = 65_536

# Where each warning was shown already, by file, as ``warnings`` keeps it by module, under its own lock.
# Loops in several threads may at worst show one warning twice.
_shown: dict[str, dict[Any, Any]] = {}


def collect_levels() -> dict[str, int]:
    """Return the level of every logger that has one of its own, so that workers send nothing in vain.

    Levels by logger name; under ``""`` the root logger's.
    """
    root = logging.getLogger()
    levels = {"": root.getEffectiveLevel()}
    # A copy, which is one atomic operation of the dict: any thread may make loggers meanwhile.
    for name, logger in root.manager.loggerDict.copy().items():
        if isinstance(logger, logging.Logger) and logger.level:
            levels[name] = logger.level
    return levels


def replay_log(data: bytes) -> None:
    """Hand a worker's record to the logger of the same name. Never raises."""
    try:
        told, extra = pickle.loads(data)  # noqa: S301 - because: from the own worker
        logger = logging.getLogger(told["name"])
        if not logger.isEnabledFor(told["levelno"]):
            return
        record = logging.makeLogRecord({})
        # Since when this process logs, not the worker.
        told["relativeCreated"] = (
            record.relativeCreated + (told["created"] - record.created) * 1_000
        )
        extra = {name: _unpacked(value) for name, value in extra.items()}
        vars(record).update(told | extra)
        logger.handle(record)
    except Exception:
        logging.getLogger("lanewise").debug("a worker's log record was lost", exc_info=True)


def _unpacked(value: Any) -> Any:
    if type(value) is not bytes:
        return value
    try:
        return pickle.loads(value)  # noqa: S301 - because: from the own worker
    except Exception as error:  # noqa: BLE001 - because: its module may be missing on this side
        return f"<a value that cannot be made here: {type(error).__name__}: {error}>"


def replay_warning(data: bytes) -> None:
    """Issue a worker's warning here, at the same place. Never raises, whatever the filters say."""
    try:
        where, text, filename, lineno, module = pickle.loads(data)  # noqa: S301 - because: from the own worker
        registry = _shown.setdefault(filename, {})
        try:
            warnings.warn_explicit(text, _category(*where), filename, lineno, module, registry)
        except TypeError:  # the category's constructor wants more than a text
            warnings.warn_explicit(text, UserWarning, filename, lineno, module, registry)
    except Warning as raised:
        # A filter makes an error of it; but the call that caused it is over, and this is the loop.
        logging.getLogger("lanewise.worker").warning("%s:%s: %s", filename, lineno, raised)
    except Exception:
        logging.getLogger("lanewise").debug("a worker's warning was lost", exc_info=True)


def _category(module: str, path: str) -> type[Warning]:
    """Find a category among what is imported: importing is nothing for a loop, nor for a warning."""
    found: Any = sys.modules.get(module)
    for name in path.split("."):
        found = getattr(found, name, None)
    return found if isinstance(found, type) and issubclass(found, Warning) else UserWarning


class OutputRelay:
    """One worker's stdout and stderr, passed on to this process's in whole lines.

    Owner: the lane's loop.

    Args:
        echo: Whether anything is passed on; if not, only the tail is kept.
    """

    def __init__(self, *, echo: bool = True) -> None:
        self._streams = {name: _Lines() for name in ("stdout", "stderr")}
        self._echo = echo
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._fault = ""

    def feed(self, stream: str, data: bytes) -> None:
        """Pass on the lines that are complete now. Never raises, whatever became of our own stream.

        Args:
            stream: ``"stdout"`` or ``"stderr"``.
            data: What was read from it.
        """
        self._pass_on(stream, self._streams[stream].whole_lines(data))

    def flush(self, *, final: bool = True) -> None:
        """Pass on what has no line end.

        Args:
            final: Nothing more will come, so that half a character is passed on too, escaped.
        """
        for stream, lines in self._streams.items():
            self._pass_on(stream, lines.rest(final=final))

    def tail(self) -> str:
        """Return the last lines that the worker wrote to stderr: 20 at most, and 4,096 letters."""
        return "".join([*self._tail, self._streams["stderr"].held])[-_TAIL_LETTERS:].strip()

    def fault(self) -> str:
        """Return what faulthandler wrote when the worker crashed, or nothing; its first 4,096 letters."""
        held = self._streams["stderr"].held
        if self._fault or held.startswith(_FAULT):
            return (self._fault + held)[:_TAIL_LETTERS].strip()
        return ""

    def _pass_on(self, stream: str, text: str) -> None:
        if not text:
            return
        if stream == "stderr":
            for line in text.splitlines(keepends=True):
                self._note(line)
        if self._echo:
            _write(getattr(sys, stream), text)

    def _note(self, line: str) -> None:
        # The piece after a line that was passed on without its end belongs to that line.
        self._tail.append(line[-_TAIL_LETTERS:])
        if line.startswith(_FAULT):
            self._fault = line[:_TAIL_LETTERS]
        elif self._fault and len(self._fault) < _TAIL_LETTERS:
            # Apart from the tail, from which the stacks of many threads would push the first line out.
            self._fault += line[:_TAIL_LETTERS]


class _Lines:
    """Bytes into whole lines of text. Owner: the relay's."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self.held = ""

    def whole_lines(self, data: bytes) -> str:
        text = self._decoder.decode(data)
        # A progress bar returns to the line's beginning and never ends it.
        end = max(text.rfind("\n"), text.rfind("\r")) + 1
        if not end and len(self.held) + len(text) <= _MAX_HELD_LETTERS:
            self.held += text
            return ""
        end = end or len(text)
        whole, self.held = self.held + text[:end], text[end:]
        return whole

    def rest(self, *, final: bool) -> str:
        text, self.held = self.held, ""
        return text + self._decoder.decode(b"", final=True) if final else text


def _write(target: Any, text: str) -> None:
    """Write to a stream that may be closed, absent, full (non-blocking) or of the user's making."""
    if target is None:
        return
    try:
        try:
            target.write(text)
        except UnicodeEncodeError:
            encoding = target.encoding
            target.write(text.encode(encoding, "backslashreplace").decode(encoding))
        target.flush()
    except Exception:  # noqa: BLE001 - because: there is nowhere left to say it
        return
