"""H4: order numbers from one generator."""


def _numbers(first):
    number = first
    while True:
        yield number
        number += 1


ORDER_NUMBERS = _numbers(1000)


def next_order_number():
    return next(ORDER_NUMBERS)
