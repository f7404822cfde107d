"""A dict for each instance, a constant for the class."""


class Basket:
    limits = {"lines": 50}

    def __init__(self):
        self.lines = {}

    def put(self, sku, count):
        if len(self.lines) < self.limits["lines"]:
            self.lines[sku] = count
