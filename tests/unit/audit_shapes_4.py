"""Hazards, each with a twin that looks like it and was taken for it once."""

from __future__ import annotations

from tests.unit.audit_shape import Shape

ALIKE: list[Shape] = [
    Shape(
        "an instance of a subclass that has all that changes of its own",
        ("FT101",),
        """
        class Reader:
            def __init__(self):
                self.size = 0

            def feed(self, data):
                self.size += len(data)

        class Empty(Reader):
            def at_eof(self):
                return True

        EMPTY = Empty()
        """,
        """
        class Reader:
            def __init__(self):
                self.size = 0

            def feed(self, data):
                self.size += len(data)
                self._later()

            def _later(self):
                self.size -= 1

        class Empty(Reader):
            def __init__(self):
                pass

            def feed(self, data):
                pass

        EMPTY = Empty()
        """,
    ),
    Shape(
        "an ancestor's method that a subclass calls by super",
        ("FT101",),
        """
        class Reader:
            def __init__(self):
                self.size = 0

            def feed(self, data):
                self.size += len(data)

        class Logged(Reader):
            def feed(self, data):
                print(data)
                super().feed(data)

        READER = Logged()
        """,
        """
        class Reader:
            def __init__(self):
                self.size = 0

            def feed(self, data):
                self.size += len(data)

        class Logged(Reader):
            def feed(self, data):
                print(data)

        READER = Logged()
        """,
    ),
    Shape(
        "what an ancestor's constructor binds, where that is never called",
        ("FT101",),
        """
        class Reader:
            def __init__(self):
                self.size = 0

            def push_back(self, data):
                self.size += len(data)

        class Empty(Reader):
            def __init__(self):
                super().__init__()

        EMPTY = Empty()
        """,
        """
        class Reader:
            def __init__(self):
                self.size = 0

            def push_back(self, data):
                self.size += len(data)

        class Empty(Reader):
            def __init__(self):
                self.at_eof = True

        EMPTY = Empty()
        """,
    ),
    Shape(
        "the program's own part of a module, below two conditions",
        ("FT101",),
        """
        import sys

        class Decoder:
            def __init__(self):
                self.style = 0

            def decode(self, text):
                self.style += 1

        if sys.platform != "win32":
            decoder = Decoder()
        """,
        """
        import sys

        class Decoder:
            def __init__(self):
                self.style = 0

            def decode(self, text):
                self.style += 1

        if sys.platform != "win32" and __name__ == "__main__":
            decoder = Decoder()
        """,
    ),
    Shape(
        "an object put into another by the program's own part of a module",
        ("FT101",),
        """
        class Text:
            def __init__(self):
                self.length = 0

            def append(self, part):
                self.length += len(part)

        table = load()
        table.title = Text()
        """,
        """
        class Text:
            def __init__(self):
                self.length = 0

            def append(self, part):
                self.length += len(part)

        table = load()
        if __name__ == "__main__":
            table.title = Text()
        """,
    ),
    Shape(
        "a property that stands for what a thread-local holds",
        ("FT101",),
        """
        class Console:
            def __init__(self):
                self._index = 0

            @property
            def index(self):
                return self._index

            @index.setter
            def index(self, value):
                self._index = value

            def enter(self):
                self.index += 1

        console = Console()
        """,
        """
        import threading

        class Indexes(threading.local):
            value = 0

        class Console:
            def __init__(self):
                self._indexes = Indexes()

            @property
            def index(self):
                return self._indexes.value

            @index.setter
            def index(self, value):
                self._indexes.value = value

            def enter(self):
                self.index += 1

        console = Console()
        """,
    ),
    Shape(
        "settings completed on first use",
        ("FT101",),
        """
        class Connections:
            def __init__(self, settings):
                self._settings = settings

            def more(self):
                self._settings = with_one_more(self._settings)
                return self._settings

        connections = Connections({})
        """,
        """
        from functools import cached_property

        class Connections:
            def __init__(self, settings):
                self._settings = settings

            @cached_property
            def settings(self):
                self._settings = with_defaults(self._settings)
                return self._settings

        connections = Connections({})
        """,
    ),
    Shape(
        "a default that is made anew by each call of the function around it",
        ("FT106",),
        """
        def term(k, known=[1]):
            known[0] *= k
            return known[0]
        """,
        """
        def total(first, most):
            def term(k, known=[first]):
                known[0] *= k
                return known[0]
            return sum(term(k) for k in range(most))
        """,
    ),
    Shape(
        "a value put aside while a nested call runs, and put back",
        ("FT101",),
        """
        _marks = []

        def mark(text):
            _marks.append(text)

        def report(write):
            global _marks
            taken = _marks
            _marks = []
            write(taken)
        """,
        """
        _marks = []

        def mark(text):
            _marks.append(text)

        def alone(run):
            global _marks
            before = _marks
            _marks = []
            try:
                run()
            finally:
                _marks = before
        """,
    ),
]
