"""Hazards in the shapes in which services have them, each with a twin that is safe: part 1 of 3."""

from __future__ import annotations

from tests.unit.audit_shape import Shape

FIRST: list[Shape] = [
    Shape(
        "a registry of a class, filled by its constructor with a counter",
        ("FT101",),
        """
        import threading

        class Job:
            count = 0

            def __init__(self, name):
                Job.count += 1
                self.number = Job.count
                self.name = name

        def handle(name):
            return Job(name).number

        def main():
            for name in ("a", "b"):
                threading.Thread(target=handle, args=(name,)).start()
        """,
        """
        import itertools
        import threading

        class Job:
            numbers = itertools.count(1)

            def __init__(self, name):
                self.number = next(Job.numbers)
                self.name = name

        def handle(name):
            return Job(name).number

        def main():
            for name in ("a", "b"):
                threading.Thread(target=handle, args=(name,)).start()
        """,
    ),
    Shape(
        "lazy initialisation done by a helper that sets the global",
        ("FT103",),
        """
        from concurrent.futures import ThreadPoolExecutor
        import sqlite3

        _connection = None

        def _connect():
            global _connection
            _connection = sqlite3.connect("shop.db")

        def connection():
            if _connection is None:
                _connect()
            return _connection

        def query(text):
            return connection().execute(text).fetchall()

        def run(texts):
            with ThreadPoolExecutor() as pool:
                return [f.result() for f in [pool.submit(query, t) for t in texts]]
        """,
        """
        from concurrent.futures import ThreadPoolExecutor
        import sqlite3
        import threading

        _connection = None
        _making = threading.Lock()

        def _connect():
            global _connection
            _connection = sqlite3.connect("shop.db")

        def connection():
            with _making:
                if _connection is None:
                    _connect()
            return _connection

        def query(text):
            return connection().execute(text).fetchall()

        def run(texts):
            with ThreadPoolExecutor() as pool:
                return [f.result() for f in [pool.submit(query, t) for t in texts]]
        """,
    ),
    Shape(
        "two different locks for one object",
        ("FT101",),
        """
        import threading

        _reading = threading.Lock()
        _writing = threading.Lock()
        served = 0

        def on_request():
            global served
            with _reading:
                served += 1

        def on_retry():
            global served
            with _writing:
                served += 1

        def main():
            threading.Thread(target=on_request).start()
            threading.Thread(target=on_retry).start()
        """,
        """
        import threading

        _counting = threading.Lock()
        served = 0

        def on_request():
            global served
            with _counting:
                served += 1

        def on_retry():
            global served
            with _counting:
                served += 1

        def main():
            threading.Thread(target=on_request).start()
            threading.Thread(target=on_retry).start()
        """,
    ),
    Shape(
        "read, computed and written back through a local name",
        ("FT101",),
        """
        import asyncio

        balance = 0

        def deposit(amount):
            global balance
            current = balance
            current = current + amount
            balance = current

        async def handler(amount):
            await asyncio.to_thread(deposit, amount)
        """,
        """
        import asyncio
        import threading

        balance = 0
        _guard = threading.Lock()

        def deposit(amount):
            global balance
            with _guard:
                current = balance
                current = current + amount
                balance = current

        async def handler(amount):
            await asyncio.to_thread(deposit, amount)
        """,
    ),
    Shape(
        "a counter of another object's attribute, two levels down",
        ("FT101",),
        """
        import asyncio

        class Totals:
            def __init__(self):
                self.orders = 0

        class Shop:
            def __init__(self):
                self.totals = Totals()

        SHOP = Shop()

        def order(item):
            SHOP.totals.orders += 1
            return item

        async def handler(item):
            return await asyncio.to_thread(order, item)
        """,
        """
        import asyncio

        class Totals:
            def __init__(self):
                self.orders = 0

        class Shop:
            def __init__(self):
                self.totals = Totals()

        def order(item):
            shop = Shop()
            shop.totals.orders += 1
            return shop.totals.orders

        async def handler(item):
            return await asyncio.to_thread(order, item)
        """,
    ),
    Shape(
        "FastAPI's app.state counted by plain def handlers, which run in threads",
        ("FT101",),
        """
        from fastapi import FastAPI, Request

        app = FastAPI()
        app.state.hits = 0

        @app.get("/")
        def index(request: Request):
            request.app.state.hits += 1
            return {"hits": request.app.state.hits}
        """,
        """
        from fastapi import FastAPI, Request
        import threading

        app = FastAPI()
        app.state.hits = 0
        app.state.lock = threading.Lock()

        @app.get("/")
        def index(request: Request):
            with request.app.state.lock:
                request.app.state.hits += 1
                hits = request.app.state.hits
            return {"hits": hits}
        """,
    ),
    Shape(
        "app.state filled on first use by plain def handlers",
        ("FT103", "FT102"),
        """
        from fastapi import FastAPI
        import sqlite3

        app = FastAPI()
        app.state.database = None

        @app.get("/orders")
        def orders():
            if app.state.database is None:
                app.state.database = sqlite3.connect("orders.db")
            return app.state.database.execute("select 1").fetchall()
        """,
        """
        from fastapi import FastAPI
        import sqlite3
        import threading

        app = FastAPI()
        app.state.database = None
        opening = threading.Lock()

        @app.get("/orders")
        def orders():
            with opening:
                if app.state.database is None:
                    app.state.database = sqlite3.connect("orders.db")
            return app.state.database.execute("select 1").fetchall()
        """,
    ),
    Shape(
        "a singleton of the module whose method adds to a total",
        ("FT101",),
        """
        from concurrent.futures import ThreadPoolExecutor

        class Meter:
            def __init__(self):
                self.total = 0.0

            def add(self, value):
                self.total = self.total + value

        meter = Meter()

        def work(value):
            meter.add(value)

        def run(values):
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(work, values))
        """,
        """
        from concurrent.futures import ThreadPoolExecutor
        import threading

        class Meter:
            def __init__(self):
                self.total = 0.0
                self._lock = threading.Lock()

            def add(self, value):
                with self._lock:
                    self.total = self.total + value

        meter = Meter()

        def work(value):
            meter.add(value)

        def run(values):
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(work, values))
        """,
    ),
    Shape(
        "a nonlocal count that several threads change",
        ("FT101",),
        """
        import threading

        def crawl(pages):
            done = 0

            def visit(page):
                nonlocal done
                page.load()
                done += 1

            threads = [threading.Thread(target=visit, args=(page,)) for page in pages]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return done
        """,
        """
        import threading

        def crawl(pages):
            done = 0
            lock = threading.Lock()

            def visit(page):
                nonlocal done
                page.load()
                with lock:
                    done += 1

            threads = [threading.Thread(target=visit, args=(page,)) for page in pages]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return done
        """,
    ),
    Shape(
        "a dictionary of counts in a closure, handed to a pool",
        ("FT101",),
        """
        from concurrent.futures import ThreadPoolExecutor

        def count_words(texts):
            counts = {}

            def count(text):
                for word in text.split():
                    counts[word] = counts.get(word, 0) + 1

            with ThreadPoolExecutor() as pool:
                for text in texts:
                    pool.submit(count, text)
            return counts
        """,
        """
        from concurrent.futures import ThreadPoolExecutor

        def count_words(texts):
            def count(text):
                counts = {}
                for word in text.split():
                    counts[word] = counts.get(word, 0) + 1
                return counts

            with ThreadPoolExecutor() as pool:
                return list(pool.map(count, texts))
        """,
    ),
    Shape(
        "a cached function that returns one object, which callers change",
        ("FT101", "FT102"),
        """
        import functools
        from concurrent.futures import ThreadPoolExecutor

        @functools.lru_cache(maxsize=None)
        def statistics():
            return {"hits": 0}

        def hit(_):
            statistics()["hits"] += 1

        def run(values):
            with ThreadPoolExecutor() as pool:
                list(pool.map(hit, values))
        """,
        """
        import functools
        from concurrent.futures import ThreadPoolExecutor

        @functools.lru_cache(maxsize=None)
        def limits():
            return {"hits": 3}

        def allowed(value):
            return value < limits()["hits"]

        def run(values):
            with ThreadPoolExecutor() as pool:
                return list(pool.map(allowed, values))
        """,
    ),
    Shape(
        "a dataclass whose field has one list for all its instances",
        ("FT105",),
        """
        from dataclasses import dataclass
        from typing import ClassVar
        import threading

        @dataclass
        class Event:
            name: str
            log: ClassVar[dict] = {}

            def note(self):
                if self.name not in self.log:
                    self.log[self.name] = []
                self.log[self.name].append(self)

        def handle(name):
            Event(name).note()

        def main():
            threading.Thread(target=handle, args=("a",)).start()
        """,
        """
        from dataclasses import dataclass, field
        import threading

        @dataclass
        class Event:
            name: str
            log: dict = field(default_factory=dict)

            def note(self):
                if self.name not in self.log:
                    self.log[self.name] = []
                self.log[self.name].append(self)

        def handle(name):
            Event(name).note()

        def main():
            threading.Thread(target=handle, args=("a",)).start()
        """,
    ),
    Shape(
        "a subclass of Thread that counts on its class",
        ("FT101",),
        """
        import threading

        class Worker(threading.Thread):
            finished = 0

            def run(self):
                self.step()
                Worker.finished += 1

            def step(self):
                return 1

        def main():
            for _ in range(4):
                Worker().start()
        """,
        """
        import threading

        class Worker(threading.Thread):
            def __init__(self):
                super().__init__()
                self.finished = 0

            def run(self):
                self.step()
                self.finished += 1

            def step(self):
                return 1

        def main():
            for _ in range(4):
                Worker().start()
        """,
    ),
    Shape(
        "a pool's tasks that take the next one from one generator",
        ("FT104",),
        """
        from concurrent.futures import ThreadPoolExecutor

        def pages():
            for number in range(1000):
                yield number

        def consume(source):
            for page in source:
                print(page)

        def run():
            source = pages()
            with ThreadPoolExecutor(4) as pool:
                for _ in range(4):
                    pool.submit(consume, source)
        """,
        """
        from concurrent.futures import ThreadPoolExecutor

        def pages():
            for number in range(1000):
                yield number

        def consume(source):
            for page in source:
                print(page)

        def run():
            with ThreadPoolExecutor(4) as pool:
                for _ in range(4):
                    pool.submit(consume, pages())
        """,
    ),
]
