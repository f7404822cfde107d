"""S2: counted between acquire and release; and a local name that only looks like the global."""

import threading

orders_served = 0
_door = threading.Lock()


def served():
    global orders_served
    _door.acquire()
    try:
        orders_served += 1
    finally:
        _door.release()


def subtotal(counts):
    orders_served = 0
    for count in counts:
        orders_served += count
    return orders_served
