"""H1: a dict as a cache; the work between the check and the store takes a while."""

import time

_PRICES = {}


class Quote:
    def __init__(self, sku):
        self.sku = sku


def quote(sku):
    if sku not in _PRICES:
        time.sleep(0.01)
        _PRICES[sku] = Quote(sku)
    return _PRICES[sku]
