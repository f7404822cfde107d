"""What the executor's tests run, in workers and in programs of their own."""

import os

from lanewise import task


class OddHash:
    """Can be called, and not be looked up."""

    def __hash__(self):
        raise ValueError("no hash")

    def __eq__(self, other):
        raise ValueError("no comparison")

    def __call__(self):
        return "called"


class Thing:
    """Can be referred to weakly."""


def make_thing(_):
    return Thing()


@task(lane="thread")
def pid_on_a_thread():
    return os.getpid()


def pids():
    """The worker's process and the one that started it."""
    return os.getpid(), os.getppid()


def pid_of(_):
    return os.getpid()
