"""Hazards in the shapes in which services have them, each with a twin that is safe: part 3 of 3."""

from __future__ import annotations

from tests.unit.audit_shape import Shape

THIRD: list[Shape] = [
    Shape(
        "a list grown by slices of itself in a shared object",
        ("FT101",),
        """
        from concurrent.futures import ThreadPoolExecutor

        class History:
            def __init__(self):
                self.entries = ()

            def add(self, entry):
                self.entries = (*self.entries, entry)

        HISTORY = History()

        def work(entry):
            HISTORY.add(entry)

        def run(entries):
            with ThreadPoolExecutor() as pool:
                list(pool.map(work, entries))
        """,
        """
        from concurrent.futures import ThreadPoolExecutor

        class History:
            def __init__(self):
                self.entries = []

            def add(self, entry):
                self.entries.append(entry)

        HISTORY = History()

        def work(entry):
            HISTORY.add(entry)

        def run(entries):
            with ThreadPoolExecutor() as pool:
                list(pool.map(work, entries))
        """,
    ),
    Shape(
        "a lock that is let go between the check and the change",
        ("FT102", "FT101"),
        """
        import threading

        _lock = threading.Lock()
        _seats = {"a": 1}

        def book(seat):
            with _lock:
                free = _seats[seat]
            if free > 0:
                with _lock:
                    _seats[seat] = free - 1
                return True
            return False

        def main():
            for _ in range(2):
                threading.Thread(target=book, args=("a",)).start()
        """,
        """
        import threading

        _lock = threading.Lock()
        _seats = {"a": 1}

        def book(seat):
            with _lock:
                free = _seats[seat]
                if free > 0:
                    _seats[seat] = free - 1
                    return True
            return False

        def main():
            for _ in range(2):
                threading.Thread(target=book, args=("a",)).start()
        """,
    ),
    Shape(
        "a lock of each instance for what the class shares",
        ("FT101", "FT105"),
        """
        import asyncio
        import threading

        class Ticket:
            issued = 0

            def __init__(self):
                self._lock = threading.Lock()

            def issue(self):
                with self._lock:
                    type(self).issued += 1
                    return type(self).issued

        async def handler():
            return await asyncio.to_thread(Ticket().issue)
        """,
        """
        import asyncio
        import threading

        class Ticket:
            issued = 0
            _lock = threading.Lock()

            def issue(self):
                with self._lock:
                    type(self).issued += 1
                    return type(self).issued

        async def handler():
            return await asyncio.to_thread(Ticket().issue)
        """,
    ),
    Shape(
        "aiohttp app state via request.app[...]",
        (
            "FT101",
            "FT102",
        ),
        """
        from aiohttp import web
        import asyncio
        stats = {"hits": 0}
        def work():
            stats["hits"] += 1
        async def handle(request):
            await asyncio.to_thread(work)
            return web.Response()
        """,
        """
        from aiohttp import web
        import asyncio, threading
        stats = {"hits": 0}
        stats_lock = threading.Lock()
        def work():
            with stats_lock:
                stats["hits"] += 1
        async def handle(request):
            await asyncio.to_thread(work)
            return web.Response()
        """,
    ),
    Shape(
        "helper method makes the client of a held service",
        ("FT103",),
        """
        import httpx, threading
        class Service:
            def __init__(self):
                self._client = None
            def _open(self):
                self._client = httpx.Client()
            def get(self, url):
                if not self._client:
                    self._open()
                return self._client.get(url)
        service = Service()
        def job(url):
            return service.get(url)
        def main():
            threading.Thread(target=job, args=("x",)).start()
        """,
        """
        import httpx, threading
        class Service:
            def __init__(self):
                self._client = None
                self._lock = threading.Lock()
            def _open(self):
                with self._lock:
                    if self._client is None:
                        self._client = httpx.Client()
            def get(self, url):
                if not self._client:
                    self._open()
                return self._client.get(url)
        service = Service()
        def job(url):
            return service.get(url)
        def main():
            threading.Thread(target=job, args=("x",)).start()
        """,
    ),
    Shape(
        "min/max kept through a call",
        ("FT101",),
        """
        import threading
        slowest = 0.0
        def note(seconds):
            global slowest
            slowest = max(slowest, seconds)
        def main():
            threading.Thread(target=note, args=(1,)).start()
        """,
        """
        import threading
        slowest = 0.0
        _l = threading.Lock()
        def note(seconds):
            global slowest
            with _l:
                slowest = max(slowest, seconds)
        def main():
            threading.Thread(target=note, args=(1,)).start()
        """,
    ),
    Shape(
        "if greater then assign",
        (
            "FT101",
            "FT102",
            "FT103",
        ),
        """
        import threading
        slowest = 0.0
        def note(seconds):
            global slowest
            if seconds > slowest:
                slowest = seconds
        def main():
            threading.Thread(target=note, args=(1,)).start()
        """,
        """
        import threading
        slowest = 0.0
        lock = threading.Lock()
        def note(seconds):
            global slowest
            with lock:
                if seconds > slowest:
                    slowest = seconds
        def main():
            threading.Thread(target=note, args=(1,)).start()
        """,
    ),
    Shape(
        "starlette websocket app state list grown",
        (
            "FT101",
            "FT102",
            "FT103",
        ),
        """
        from starlette.applications import Starlette
        import sqlite3
        app = Starlette()
        def pool(request):
            if not hasattr(request.app.state, "pool"):
                request.app.state.pool = sqlite3.connect("x")
            return request.app.state.pool
        @app.route("/")
        def index(request):
            return pool(request)
        """,
        """
        from starlette.applications import Starlette
        import sqlite3
        app = Starlette()
        def pool(request):
            if not hasattr(request.state, "pool"):
                request.state.pool = sqlite3.connect("x")
            return request.state.pool
        @app.route("/")
        def index(request):
            return pool(request)
        """,
    ),
    Shape(
        "two methods under two instance locks of one singleton",
        ("FT101",),
        """
        import threading
        class Stats:
            def __init__(self):
                self.a = threading.Lock()
                self.b = threading.Lock()
                self.n = 0
            def up(self):
                with self.a:
                    self.n += 1
            def down(self):
                with self.b:
                    self.n -= 1
        STATS = Stats()
        def main():
            threading.Thread(target=STATS.up).start()
            threading.Thread(target=STATS.down).start()
        """,
        """
        import threading
        class Stats:
            def __init__(self):
                self.a = threading.Lock()
                self.n = 0
                self.b = threading.Lock()
                self.m = 0
            def up(self):
                with self.a:
                    self.n += 1
            def down(self):
                with self.b:
                    self.m -= 1
        STATS = Stats()
        def main():
            threading.Thread(target=STATS.up).start()
            threading.Thread(target=STATS.down).start()
        """,
    ),
    Shape(
        "queue emulated by a list index",
        ("FT101",),
        """
        from concurrent.futures import ThreadPoolExecutor
        class Feed:
            position = 0
            items = [1, 2, 3]
            @classmethod
            def take(cls):
                item = cls.items[cls.position]
                cls.position = cls.position + 1
                return item
        def run():
            with ThreadPoolExecutor() as pool:
                for _ in range(3):
                    pool.submit(Feed.take)
        """,
        """
        from concurrent.futures import ThreadPoolExecutor
        import queue
        class Feed:
            items = queue.SimpleQueue()
            @classmethod
            def take(cls):
                return cls.items.get()
        def run():
            with ThreadPoolExecutor() as pool:
                for _ in range(3):
                    pool.submit(Feed.take)
        """,
    ),
    Shape(
        "locale for a report",
        ("FT108",),
        """
        import locale
        from lanewise import task
        @task
        def report(value, where):
            locale.setlocale(locale.LC_ALL, where)
            return locale.str(value)
        """,
        """
        from babel.numbers import format_decimal
        from lanewise import task
        @task
        def report(value, where):
            return format_decimal(value, locale=where)
        """,
    ),
    Shape(
        "set used as seen filter",
        ("FT102",),
        """
        from concurrent.futures import ThreadPoolExecutor
        seen = set()
        def crawl(url):
            if url in seen:
                return None
            seen.add(url)
            return download(url)
        def download(url):
            return open(url).read()
        def run(urls):
            with ThreadPoolExecutor() as pool:
                return list(pool.map(crawl, urls))
        """,
        """
        from concurrent.futures import ThreadPoolExecutor
        import threading
        seen = set()
        guard = threading.Lock()
        def crawl(url):
            with guard:
                if url in seen:
                    return None
                seen.add(url)
            return download(url)
        def download(url):
            return open(url).read()
        def run(urls):
            with ThreadPoolExecutor() as pool:
                return list(pool.map(crawl, urls))
        """,
    ),
    Shape(
        "generator kept by an object and advanced by handlers",
        ("FT104",),
        """
        import asyncio
        class Ids:
            def __init__(self):
                self._source = self._make()
            def _make(self):
                n = 0
                while True:
                    n += 1
                    yield n
            def next(self):
                return next(self._source)
        IDS = Ids()
        async def handler():
            return await asyncio.to_thread(IDS.next)
        """,
        """
        import asyncio, itertools
        class Ids:
            def __init__(self):
                self._source = itertools.count(1)
            def next(self):
                return next(self._source)
        IDS = Ids()
        async def handler():
            return await asyncio.to_thread(IDS.next)
        """,
    ),
]
