"""Functions that misbehave while they are measured, each in one way."""

import ctypes
import os
import signal
import socket
import sys
import threading
from pathlib import Path

from lanewise import task

IN_A_WORKER = "LANEWISE_DEPTH" in os.environ
LOG_VARIABLE = "LANEWISE_TEST_LOG"
SOCKET_VARIABLE = "LANEWISE_TEST_SOCKET"
NOT_A_FUNCTION = 42


def number(n):
    return (n,)


def compute(n):
    return sum(i * i for i in range(n))


def log_attempt(n):
    with Path(os.environ[LOG_VARIABLE]).open("a") as log:
        log.write(f"{n}\n")


@task(inputs=number, size=lambda n: n)
def healthy(n):
    return compute(n)


@healthy.variant("again")
def healthy_again(n):
    return compute(n)


@task(inputs=number, size=lambda n: n)
def raises(n):
    raise ValueError(f"bad row in {n}")


@task(inputs=number, size=lambda n: n)
def raises_at_100(n):
    if n == 100:
        raise ValueError("bad row")
    return compute(n)


@task(inputs=number, size=lambda n: n)
def raises_later(n, seen=[]):  # noqa: B006
    seen.append(n)
    if len(seen) > 4:
        raise ValueError("the pool is exhausted")
    return compute(n)


@task(inputs=lambda n: {}["rows"], size=lambda n: n)
def inputs_raise(n):
    return compute(n)


@task(inputs=number, size=lambda n: n["rows"])
def size_raises(n):
    return compute(n)


@task(inputs=number, size=lambda n: n)
def result_cannot_cross(n):
    compute(n)
    return threading.Lock()


@task(inputs=lambda n: (threading.Lock(), n), size=lambda lock, n: n)
def argument_cannot_cross(lock, n):
    return compute(n)


@task(inputs=number, size=lambda n: n)
def never_ends(n):
    log_attempt(n)
    threading.Event().wait()


@task(inputs=number, size=lambda n: n)
def never_ends_from_100(n):
    log_attempt(n)
    if n >= 100:
        threading.Event().wait()
    return compute(n)


@task(inputs=number, size=lambda n: n)
def prints(n):
    print("out" * 100_000)
    print("err" * 100_000, file=sys.stderr)
    os.write(1, b"raw\n")
    return compute(n)


@task(inputs=number, size=lambda n: n)
def exits(n):
    print("about to leave", flush=True)
    os._exit(5)


@task(inputs=number, size=lambda n: n)
def segfaults(n):
    ctypes.string_at(0)


@task(inputs=number, size=lambda n: n)
def segfaults_at_100(n):
    if n == 100:
        ctypes.string_at(0)
    return compute(n)


@task(inputs=number, size=lambda n: n)
def is_killed(n):
    os.kill(os.getpid(), signal.SIGKILL)


@task(inputs=number, size=lambda n: n)
def calls_sys_exit(n):
    sys.exit("no more")


@task(inputs=number, size=lambda n: n)
def leaves_a_thread(n):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    return compute(n)


@task(inputs=lambda n: (list(range(n)),), size=len)
def mutates(rows):
    if not rows:
        raise ValueError("these arguments were used before")
    total = 0
    while rows:
        total += rows.pop()
    return total


@mutates.variant("gently")
def mutates_not(rows):
    return sum(rows)


@task(inputs=number, size=lambda n: n)
def raises_in_a_worker(n):
    if IN_A_WORKER:
        raise LookupError("the registry is empty here")
    return compute(n)


@task(inputs=number, size=lambda n: n)
def exits_in_a_worker(n):
    if IN_A_WORKER:
        os._exit(6)
    return compute(n)


@task(inputs=number, size=lambda n: n)
def has_wrong_variant(n):
    return compute(n)


@has_wrong_variant.variant("fast_and_wrong")
def fast_and_wrong(n):
    return 42


@task(inputs=number, size=lambda n: n)
def has_absent_variant(n):
    return compute(n)


@has_absent_variant.variant("absent", requires="lanewise_no_such_package")
def absent(n):
    return compute(n)


@task(inputs=number, size=lambda n: n)
def tells_when_loaded(n, told=[]):  # noqa: B006
    """Says once in each worker that the lanes are being loaded."""
    if IN_A_WORKER and not told:
        told.append(n)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.connect(os.environ[SOCKET_VARIABLE])
    return compute(n)


def needs_inputs(n):
    return compute(n)
