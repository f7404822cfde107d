"""Functions that mean the same everywhere, and such as do not."""

import functools
import os
import threading

from lanewise import task

SEEN = []
CACHE = {}
COUNT = 0


class Settings:
    level = 1


def total(rows, factor):
    return sum(rows) * factor


def sorts_its_argument(rows):
    rows.sort()
    return rows[0]


def remembers(row):
    SEEN.append(row)
    return len(row)


def counts(_row):
    global COUNT  # noqa: PLW0603 - because: that is what is to be found
    COUNT += 1
    return COUNT


def cached(key):
    if key not in CACHE:
        CACHE[key] = key * 2
    return CACHE[key]


@functools.cache
def cached_by_decorator(key):
    return key * 2


def sets_the_environment(value):
    os.environ["LANEWISE_PARITY"] = value
    return value


def changes_a_class(level):
    Settings.level += level
    return level


def where(_anything):
    return os.getpid()


def fails(text):
    raise ValueError(f"no {text}")


def returns_a_lock(_anything):
    return threading.Lock()


@task
def doubled(n):
    return n * 2


@doubled.variant("shifted")
def doubled(n):
    return n << 1


@task
def doubled_wrong(n):
    return n * 2


@doubled_wrong.variant("wrong")
def doubled_wrong(n):
    return n * 2 + (n > 3)
