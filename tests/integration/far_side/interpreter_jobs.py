"""What the tests of the interpreter lane run there."""

import contextvars
import gc
import logging
import socket
import sys
import threading
import warnings

from lanewise import task
from lanewise.testing import calls

REQUEST = contextvars.ContextVar("request", default="none")
_seen = []


class PairError(Exception):
    """Made with two arguments, and with one attribute beyond."""

    def __init__(self, left, right):
        super().__init__(left, right)
        self.extra = [left, right]


class StubbornError(Exception):
    """Cannot be made again from its args."""

    def __init__(self, *, needed):
        super().__init__("stubborn")
        self.needed = needed


def raise_pair():
    error = PairError(1, "two")
    error.add_note("a note")
    raise error


def raise_group():
    raise ExceptionGroup("several", [ValueError("first"), PairError(3, 4)])


def raise_stubborn():
    raise StubbornError(needed=1)


def leave():
    sys.exit(3)


def first_byte_when_let_go(address, view):
    """Wait, then look: whoever shares that memory may have written to it meanwhile."""
    calls.visit(address, "arrived")
    return type(view).__name__, view.readonly, view.nbytes, view[0]


def write_to(view):
    view[0] = 1


def kept(value):
    """Keep what came, as a cache would."""
    _seen.append(value)
    return len(_seen)


def numbers(count):
    return memoryview(bytearray(8 * count)).cast("d")


def length(value):
    return len(value)


def text(count):
    return {"text": "é" * count, "data": [b"x" * count, bytearray(b"y" * count)]}


def make_lock(_item=None):
    return threading.Lock()


def request():
    return REQUEST.get()


def imports_late(how="badly"):
    if how == "badly":
        import faulthandler

        faulthandler.is_enabled()
    return "went well"


def says_things():
    print("printed over there", flush=True)
    logging.getLogger("far.side").warning("logged over there")
    warnings.warn("warned over there", stacklevel=1)


def burns(count):
    return sum(number * number for number in range(count))


def fails_at(number):
    if number == 3:
        raise PairError(number, number)
    return number * number


def views_of(number):
    return memoryview(bytes([number]) * 10)


def cut_the_line():
    """What a defect of ours would look like: this interpreter hangs up in the middle of a call."""
    for one in gc.get_objects():
        if type(one).__name__ == "Line":
            one._channel.shutdown(socket.SHUT_RDWR)


@task(isolation="required")
def isolated(number):
    return number * number
