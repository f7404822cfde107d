"""S4: numbers that are exact, and a generator behind a lock."""

import itertools
import threading

ORDER_NUMBERS = itertools.count(1000)


def _codes():
    for number in itertools.count():
        yield f"C{number}"


_CODES = _codes()
_codes_lock = threading.Lock()


def next_order_number():
    return next(ORDER_NUMBERS)


def next_code():
    with _codes_lock:
        return next(_CODES)
