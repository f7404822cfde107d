"""Functions whose share of time under the GIL is known by construction; see held_share.py."""

import ctypes
import json
import os
import time

_LIBRARY = os.environ["LANEWISE_SPIN_LIBRARY"]
# The same code, called with the lock held (PyDLL) and with the lock given up (CDLL).
_held = ctypes.PyDLL(_LIBRARY).spin_us
_free = ctypes.CDLL(_LIBRARY).spin_us
for _function in (_held, _free):
    _function.argtypes = [ctypes.c_double]
    _function.restype = None
_DOCUMENT = {str(number): list(range(20)) for number in range(200)}


def just(us):
    return (us,)


def c_without(us):
    _free(us)


def c_quarter(us):
    _held(us * 0.25)
    _free(us * 0.75)


def c_half(us):
    _held(us * 0.5)
    _free(us * 0.5)


def c_three_quarters(us):
    _held(us * 0.75)
    _free(us * 0.25)


def c_with(us):
    _held(us)


def python_loop(us):
    total = 0
    for number in range(us * 10):
        total += number * number
    return total


def python_and_c(us):
    stop_ns = time.perf_counter_ns() + us * 500
    while time.perf_counter_ns() < stop_ns:
        pass
    _free(us * 0.5)


def sleep(us):
    time.sleep(us * 1e-6)


def encode(us):
    return len(json.dumps(_DOCUMENT))


TRUE_SHARES = {
    "c_without": 0.0,
    "c_quarter": 0.25,
    "c_half": 0.5,
    "c_three_quarters": 0.75,
    "c_with": 1.0,
    "python_loop": 1.0,
    "python_and_c": 0.5,
    "sleep": 0.0,
    "encode": 1.0,
}
