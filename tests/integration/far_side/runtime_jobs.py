"""What the runtime's tests run. A module of its own, so that workers can import it."""

import os
import threading
from pathlib import Path

from lanewise import task

ABSENT = "lanewise_no_such_package"


def place(name="default"):
    """Which implementation runs, in which process and thread."""
    return name, os.getpid(), threading.get_ident()


@task(size=lambda n: n)
def locate(n):
    return place()


@locate.variant("fast", requires="json")
def locate_fast(n):
    return place("fast")


@locate.variant("absent", requires=ABSENT)
def locate_absent(n):
    return place("absent")


@task(size=lambda n: n)
def with_part_of_absent(n):
    return place()


@with_part_of_absent.variant("absent_part", requires=f"{ABSENT}.part")
def with_part_of_absent_package(n):
    return place("absent_part")


@task(size=lambda n: n, lane="thread")
def on_a_thread(n):
    return place()


@task(size=lambda n: n, isolation="required")
def isolated(n):
    return place()


@task(isolation="required")
def isolated_with_argument(argument):
    return place()


@task(timeout_s=0.05)
def stuck(address):
    from lanewise.testing.calls import visit

    return visit(address, "stuck")


def own_timeout():
    raise TimeoutError("the database's")


def time_out_and_tell(path):
    with Path(path).open("a") as log:
        log.write("ran\n")
    raise TimeoutError("the database's")


def unportable_result(path):
    with Path(path).open("a") as log:
        log.write("ran\n")
    return threading.Lock()


class TwoPartError(Exception):
    """Pickles, and cannot be made again from what was pickled: a common mistake."""

    def __init__(self, code, text):
        super().__init__(f"{code} {text}")


def raise_two_part():
    raise TwoPartError(7, "parts")


def cannot_be_made():
    raise RuntimeError("not on this side")


class ArgumentThatDoesNotArrive:
    def __reduce__(self):
        return cannot_be_made, ()


def die(_item=None):
    os._exit(3)


def reciprocal(number):
    return 1 / number


def identity(item):
    return item


class Doubler:
    """Something that is called and is not a function."""

    def __init__(self, start):
        self.value = start * 2

    def __call__(self, number):
        return number * 2

    def method(self, number):
        return number * self.value
