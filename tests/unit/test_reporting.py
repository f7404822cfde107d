"""Log records and warnings of workers arrive, and harm neither side."""

from __future__ import annotations

import enum
import importlib
import logging
import os
import pickle
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.interpreters import far_side

from _lanewise_worker.replay import collect_levels, replay_log, replay_warning
from _lanewise_worker.reporting import pack_record, ship_warnings


class Level(enum.IntEnum):
    LOUD = 35


class Vanishing:
    """An extra whose class the parent does not have."""


class Opaque:
    def __reduce__(self) -> Any:
        raise RuntimeError("stays here")

    def __repr__(self) -> str:
        return "<opaque>"


class OddWarning(UserWarning):
    def __init__(self, left: str, right: str) -> None:
        super().__init__(left + right)


class Outer:
    class InnerWarning(UserWarning): ...


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


# --- log records ----------------------------------------------------------------------------------


@pytest.fixture
def kept() -> Iterator[Kept]:
    """Keeps what loggers below "reporting" get, from any level."""
    handler = Kept()
    logger = logging.getLogger("reporting")
    logger.addHandler(handler)
    logger.setLevel(1)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def far_logger() -> logging.Logger:
    """A logger in a hierarchy of its own, as the far side's is."""
    return logging.Manager(logging.RootLogger(1)).getLogger("reporting.far")


def crossed(logger: logging.Logger, kept: Kept, log: Callable[[], None]) -> logging.LogRecord:
    """Return the record that arrives when something is logged on the far side."""
    there = Kept()
    logger.addHandler(there)
    log()
    replay_log(pack_record(there.records[0]))
    return kept.records[0]


def test_a_record_arrives_with_all_that_formatters_show(
    kept: Kept, far_logger: logging.Logger
) -> None:
    def log() -> None:
        far_logger.warning("%s and %r", 1, "two", stack_info=True)

    record = crossed(far_logger, kept, log)
    assert record.name == "reporting.far"
    assert (record.levelno, record.levelname) == (logging.WARNING, "WARNING")
    assert record.getMessage() == "1 and 'two'"
    assert (record.pathname, record.funcName) == (__file__, "log")
    assert record.lineno == log.__code__.co_firstlineno + 1
    assert record.process == os.getpid()
    assert record.processName == f"lanewise-worker-{os.getpid()}"
    assert record.threadName == threading.current_thread().name
    assert record.stack_info is not None
    formatted = logging.Formatter(
        "%(asctime)s %(created)f %(relativeCreated)d %(module)s %(filename)s %(thread)d %(message)s"
    ).format(record)
    assert "1 and 'two'" in formatted
    assert "Stack (most recent call last)" in formatted


def test_an_exception_arrives_as_text(kept: Kept, far_logger: logging.Logger) -> None:
    def log() -> None:
        try:
            raise ValueError(threading.Lock())
        except ValueError:
            far_logger.exception("it failed")

    record = crossed(far_logger, kept, log)
    assert record.exc_info is None
    assert record.exc_text is not None
    assert "in log\n    raise ValueError(threading.Lock())" in record.exc_text
    assert "Traceback" in logging.Formatter().format(record)


def test_extras_arrive_as_far_as_they_can(kept: Kept, far_logger: logging.Logger) -> None:
    extra = {
        "request": "r1",
        "path": Path("/a"),
        "data": b"bytes",
        "opaque": Opaque(),
        "vanishing": Vanishing(),
    }
    there = Kept()
    far_logger.addHandler(there)
    far_logger.warning("x", extra=extra)
    data = pack_record(there.records[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(sys.modules[__name__], "Vanishing")
        replay_log(data)
    record: Any = kept.records[0]
    assert (record.request, record.path, record.data) == ("r1", Path("/a"), b"bytes")
    assert record.opaque == "<opaque>"
    assert "cannot be made here" in record.vanishing
    assert record.getMessage() == "x"


def test_a_format_that_does_not_fit_is_told(kept: Kept, far_logger: logging.Logger) -> None:
    record = crossed(far_logger, kept, lambda: far_logger.warning("%d rows", "a"))
    assert "'%d rows' (its arguments do not fit it" in record.getMessage()


def test_levels_may_be_enumerations(kept: Kept, far_logger: logging.Logger) -> None:
    record = crossed(far_logger, kept, lambda: far_logger.log(Level.LOUD, "x"))
    assert record.levelno == 35


def test_a_logger_that_is_not_enabled_gets_nothing(kept: Kept, far_logger: logging.Logger) -> None:
    logging.getLogger("reporting").setLevel(logging.ERROR)
    there = Kept()
    far_logger.addHandler(there)
    far_logger.warning("quiet")
    far_logger.error("loud")
    for record in there.records:
        replay_log(pack_record(record))
    assert [record.getMessage() for record in kept.records] == ["loud"]


def test_the_parents_filters_and_handlers_decide(kept: Kept, far_logger: logging.Logger) -> None:
    logger = logging.getLogger("reporting.far")
    logger.addFilter(refuse := lambda record: "secret" not in record.getMessage())
    try:
        there = Kept()
        far_logger.addHandler(there)
        far_logger.warning("secret")
        far_logger.warning("open")
        for record in there.records:
            replay_log(pack_record(record))
    finally:
        logger.removeFilter(refuse)
    assert [record.getMessage() for record in kept.records] == ["open"]


@pytest.mark.parametrize("data", [b"", b"garbage", pickle.dumps(({}, {})), pickle.dumps(3)])
def test_what_is_no_record_harms_nobody(data: bytes) -> None:
    replay_log(data)
    replay_warning(data)


def test_a_handler_that_raises_harms_nobody(far_logger: logging.Logger) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError

    logger = logging.getLogger("reporting.far")
    broken, there = Broken(), Kept()
    far_logger.addHandler(there)
    far_logger.warning("x")
    logger.addHandler(broken)
    try:
        replay_log(pack_record(there.records[0]))
    finally:
        logger.removeHandler(broken)


def test_levels_are_those_that_were_set() -> None:
    logging.getLogger("reporting.set").setLevel(logging.DEBUG)
    logging.getLogger("reporting.not_set")
    try:
        levels = collect_levels()
    finally:
        logging.getLogger("reporting.set").setLevel(logging.NOTSET)
    assert levels[""] == logging.getLogger().getEffectiveLevel()
    assert levels["reporting.set"] == logging.DEBUG
    assert "reporting.not_set" not in levels
    assert "reporting" not in levels


def test_levels_can_be_collected_while_loggers_are_made() -> None:
    enough = threading.Event()

    def make() -> None:
        number = 0
        while not enough.is_set():
            logging.getLogger(f"reporting.made.{number % 5_000}")
            number += 1

    maker = threading.Thread(target=make)
    maker.start()
    try:
        for _ in range(200):
            collect_levels()
    finally:
        enough.set()
        maker.join()


def test_a_worker_ships_from_the_parents_levels_on(kept: Kept) -> None:
    done = far_side(
        """
        import logging, os, sys
        from _lanewise_worker.reporting import ship_logging

        def send(data):
            sys.stdout.buffer.write(len(data).to_bytes(4, "big") + data)

        logging.basicConfig()
        ship_logging(send, {"": 30, "reporting.noisy": 10})
        own = logging.getLogger("reporting.own")
        own.propagate = False
        own.addHandler(logging.StreamHandler(sys.stderr))
        logging.getLogger("reporting.noisy").debug("sent: %s", object)
        logging.getLogger("reporting.other").info("not sent")
        logging.getLogger("reporting.other").error("sent too")
        own.error("on its own way")
        logging.basicConfig()
        assert len(logging.getLogger().handlers) == 1
        """
    )
    data, shipped = done.stdout, []
    while data:
        length = int.from_bytes(data[:4], "big")
        shipped.append(data[4 : 4 + length])
        data = data[4 + length :]
    for one in shipped:
        replay_log(one)
    assert [record.getMessage() for record in kept.records] == [
        "sent: <class 'object'>",
        "sent too",
    ]
    assert done.stderr == b"on its own way\n"


def test_what_sending_raises_does_not_reach_the_call_that_logs() -> None:
    done = far_side(
        """
        import logging, warnings
        from _lanewise_worker.reporting import ship_logging, ship_warnings

        def send(data):
            raise BrokenPipeError

        ship_logging(send, {})
        ship_warnings(send)
        logging.raiseExceptions = False
        logging.getLogger("a").error("lost")
        warnings.warn("lost too")
        print("goes on")
        """
    )
    assert (done.stdout, done.stderr) == (b"goes on\n", b"")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_a_worker_forks_does_not_speak_on_its_socket() -> None:
    done = far_side(
        """
        import logging, os, sys, warnings
        from _lanewise_worker.reporting import ship_logging, ship_warnings

        ship_logging(lambda data: os.write(1, b"sent\\n"), {})
        ship_warnings(lambda data: os.write(1, b"sent\\n"))
        pid = os.fork()
        if pid == 0:
            logging.getLogger("a").error("from the child")
            warnings.warn("child's warning")
            sys.stderr.flush()
            os._exit(0)
        os.waitpid(pid, 0)
        logging.getLogger("a").error("from the worker")
        """
    )
    assert done.stdout == b"sent\n"
    assert b"from the child" in done.stderr
    assert b"child's warning" in done.stderr


# --- warnings -------------------------------------------------------------------------------------


def shipped_warnings(warn: Callable[[], None]) -> list[bytes]:
    sent: list[bytes] = []
    with warnings.catch_warnings():
        warnings.resetwarnings()
        ship_warnings(sent.append)
        warn()
    return sent


def warn_somewhere() -> None:
    warnings.warn("old", DeprecationWarning, stacklevel=1)


def test_a_warning_arrives_with_its_place() -> None:
    sent = shipped_warnings(warn_somewhere)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        replay_warning(sent[0])
    (one,) = caught
    assert one.category is DeprecationWarning
    assert str(one.message) == "old"
    assert (one.filename, one.lineno) == (__file__, warn_somewhere.__code__.co_firstlineno + 1)


def test_a_warning_is_shown_once_for_its_place() -> None:
    sent = shipped_warnings(warn_somewhere)[0]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        replay_warning(sent)
        replay_warning(sent)
    assert len(caught) == 1


def test_the_parents_filters_ignore() -> None:
    sent = shipped_warnings(warn_somewhere)[0]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore", DeprecationWarning)
        replay_warning(sent)
    assert caught == []


def test_the_parents_filters_may_name_the_module() -> None:
    sent = shipped_warnings(warn_somewhere)[0]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", module=re.escape(__name__) + "$")
        replay_warning(sent)
    assert len(caught) == 1


WARNS_OFTEN = """
    import sys, warnings
    from _lanewise_worker.reporting import ship_warnings

    ship_warnings(lambda data: sys.stdout.write("sent "))
    for _ in range(3):
        warnings.warn("old", DeprecationWarning)
        warnings.warn("also old", PendingDeprecationWarning)
    """


def test_warnings_that_python_ignores_are_sent_once_for_the_parent_to_decide() -> None:
    assert far_side(WARNS_OFTEN).stdout == b"sent sent "


def test_what_the_command_line_says_about_warnings_holds() -> None:
    assert far_side(WARNS_OFTEN, "-Wignore::DeprecationWarning", "-Walways").stdout == b"sent " * 6
    assert far_side(WARNS_OFTEN, "-Wignore").stdout == b""
    assert far_side(WARNS_OFTEN, "-Werror", check=False).returncode == 1


def test_a_warning_that_is_an_error_here_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    sent = shipped_warnings(warn_somewhere)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        replay_warning(sent)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("lanewise.worker", logging.WARNING)
    assert record.getMessage().endswith(": old")
    assert __file__ in record.getMessage()


@pytest.mark.parametrize(
    ("message", "category", "arrives_as"),
    [
        ("a", Outer.InnerWarning, Outer.InnerWarning),
        (OddWarning("a", ""), OddWarning, UserWarning),
        ("a", type("Local", (UserWarning,), {}), UserWarning),
    ],
)
def test_categories_are_found_or_replaced(
    message: Any, category: type[Warning], arrives_as: type[Warning]
) -> None:
    (sent,) = shipped_warnings(lambda: warnings.warn(message, category, stacklevel=2))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        replay_warning(sent)
    assert [(one.category, str(one.message)) for one in caught] == [(arrives_as, "a")]


def test_a_category_is_not_imported_for_its_warning(tmp_path: Path) -> None:
    (tmp_path / "reporting_absent.py").write_text("class AbsentWarning(UserWarning): ...\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        category = importlib.import_module("reporting_absent").AbsentWarning
        (sent,) = shipped_warnings(lambda: warnings.warn("a", category, stacklevel=2))
        patch.delitem(sys.modules, "reporting_absent")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            replay_warning(sent)
        assert [one.category for one in caught] == [UserWarning]
        assert "reporting_absent" not in sys.modules


def test_warnings_for_another_stream_go_there() -> None:
    done = far_side(
        """
        import sys, warnings
        from _lanewise_worker.reporting import ship_warnings

        ship_warnings(lambda data: sys.stdout.write("sent"))
        warnings.showwarning("a", UserWarning, "file.py", 3, sys.stdout)
        """
    )
    assert done.stdout == b"file.py:3: UserWarning: a\n"
