"""Hazards of services and frameworks, each with a twin that is safe: part 1 of 2."""

from __future__ import annotations

from tests.unit.audit_shape import Shape

SERVICES: list[Shape] = [
    Shape(
        "lru_cache with an argument hands out one dict, which is counted in",
        ("FT101",),
        """
        from functools import lru_cache

        @lru_cache(maxsize=256)
        def quota(tenant):
            return {"used": 0, "limit": 100}

        def charge(request):
            mine = quota(request.tenant)
            mine["used"] += 1
            return mine["used"] <= mine["limit"]
        """,
        """
        from functools import lru_cache
        import threading

        _quota_lock = threading.Lock()

        @lru_cache(maxsize=256)
        def quota(tenant):
            return {"used": 0, "limit": 100}

        def charge(request):
            mine = quota(request.tenant)
            with _quota_lock:
                mine["used"] += 1
                return mine["used"] <= mine["limit"]
        """,
    ),
    Shape(
        "singleton by getattr and setattr",
        (
            "FT103",
            "FT102",
        ),
        """
        class Registry:
            def __init__(self):
                self.entries = {}

            @classmethod
            def current(cls):
                inst = getattr(cls, "_current", None)
                if inst is None:
                    inst = cls()
                    setattr(cls, "_current", inst)
                return inst
        """,
        """
        from threading import Lock

        class Registry:
            _make = Lock()

            def __init__(self):
                self.entries = {}

            @classmethod
            def current(cls):
                with cls._make:
                    inst = getattr(cls, "_current", None)
                    if inst is None:
                        inst = cls()
                        setattr(cls, "_current", inst)
                    return inst
        """,
    ),
    Shape(
        "a descriptor that keeps a client for each owner",
        ("FT102",),
        """
        from weakref import WeakKeyDictionary
        import redis

        class RedisField:
            def __init__(self, url):
                self.url = url
                self._clients = WeakKeyDictionary()

            def __get__(self, obj, owner):
                if obj not in self._clients:
                    self._clients[obj] = redis.Redis.from_url(self.url)
                return self._clients[obj]

        class Service:
            cache = RedisField("redis://cache")
        """,
        """
        import threading
        from weakref import WeakKeyDictionary
        import redis

        class RedisField:
            def __init__(self, url):
                self.url = url
                self._clients = WeakKeyDictionary()
                self._mutex = threading.Lock()

            def __get__(self, obj, owner):
                with self._mutex:
                    if obj not in self._clients:
                        self._clients[obj] = redis.Redis.from_url(self.url)
                    return self._clients[obj]

        class Service:
            cache = RedisField("redis://cache")
        """,
    ),
    Shape(
        "subscribers registered by a decorator at run time while others publish",
        ("FT107",),
        """
        SUBSCRIBERS = {}

        def on(topic):
            def keep(fn):
                SUBSCRIBERS[topic] = fn
                return fn
            return keep

        def open_stream(request):
            @on(request.topic)
            def push(message):
                request.send(message)
            return push

        def publish(message):
            for topic, push in SUBSCRIBERS.items():
                push((topic, message))
        """,
        """
        import threading

        SUBSCRIBERS = {}
        _subscribers_lock = threading.Lock()

        def on(topic):
            def keep(fn):
                with _subscribers_lock:
                    SUBSCRIBERS[topic] = fn
                return fn
            return keep

        def open_stream(request):
            @on(request.topic)
            def push(message):
                request.send(message)
            return push

        def publish(message):
            with _subscribers_lock:
                pushes = list(SUBSCRIBERS.items())
            for topic, push in pushes:
                push((topic, message))
        """,
    ),
    Shape(
        "a Flask factory with a counter in its closure",
        ("FT101",),
        """
        from flask import Flask

        def create_app():
            app = Flask(__name__)
            served = 0

            @app.route("/")
            def index():
                nonlocal served
                served += 1
                return f"you are visitor {served}"

            return app
        """,
        """
        from threading import Lock
        from flask import Flask

        def create_app():
            app = Flask(__name__)
            served = 0
            lock = Lock()

            @app.route("/")
            def index():
                nonlocal served
                with lock:
                    served += 1
                    mine = served
                return f"you are visitor {mine}"

            return app
        """,
    ),
    Shape(
        "Executor.map over a lambda that calls a method which counts",
        ("FT101",),
        """
        from collections import defaultdict
        from concurrent.futures import ThreadPoolExecutor

        class Report:
            def __init__(self):
                self.totals = defaultdict(float)

            def build(self, rows):
                with ThreadPoolExecutor(max_workers=8) as pool:
                    list(pool.map(lambda row: self.add(row), rows))
                return self.totals

            def add(self, row):
                self.totals[row.account] += row.amount
        """,
        """
        import threading
        from collections import defaultdict
        from concurrent.futures import ThreadPoolExecutor

        class Report:
            def __init__(self):
                self.totals = defaultdict(float)
                self._totals_lock = threading.Lock()

            def build(self, rows):
                with ThreadPoolExecutor(max_workers=8) as pool:
                    list(pool.map(lambda row: self.add(row), rows))
                return self.totals

            def add(self, row):
                with self._totals_lock:
                    self.totals[row.account] += row.amount
        """,
    ),
    Shape(
        "a Timer that reads a count and resets it without the lock of those who count",
        ("FT101",),
        """
        import threading

        class Meter:
            def __init__(self):
                self._lock = threading.Lock()
                self.count = 0

            def hit(self):
                with self._lock:
                    self.count += 1

            def flush(self):
                n = self.count
                self.count = 0
                send("hits", n)
                threading.Timer(60, self.flush).start()

        METER = Meter()
        METER.flush()

        def handler(request):
            METER.hit()
        """,
        """
        import threading

        class Meter:
            def __init__(self):
                self._lock = threading.Lock()
                self.count = 0

            def hit(self):
                with self._lock:
                    self.count += 1

            def flush(self):
                with self._lock:
                    n = self.count
                    self.count = 0
                send("hits", n)
                threading.Timer(60, self.flush).start()

        METER = Meter()
        METER.flush()

        def handler(request):
            METER.hit()
        """,
    ),
    Shape(
        "csv.reader shared by threads",
        ("FT104",),
        """
        import csv
        import threading

        def load(path, store):
            with open(path, newline="") as file:
                rows = csv.reader(file)

                def pump():
                    for row in rows:
                        store(row)

                threads = [threading.Thread(target=pump) for _ in range(4)]
                for t in threads:
                    t.start()
                for t in threads:
                    t.join()
        """,
        """
        import csv
        import threading

        def load(path, store):
            with open(path, newline="") as file:
                rows = csv.reader(file)
                rows_lock = threading.Lock()

                def pump():
                    while True:
                        with rows_lock:
                            row = next(rows, None)
                        if row is None:
                            return
                        store(row)

                threads = [threading.Thread(target=pump) for _ in range(4)]
                for t in threads:
                    t.start()
                for t in threads:
                    t.join()
        """,
    ),
    Shape(
        "a thread-local in a class body with its depth",
        ("FT109",),
        """
        import threading

        class Transaction:
            state = threading.local()
            state.depth = 0

            def __enter__(self):
                self.state.depth += 1
                return self

            def __exit__(self, *exc):
                self.state.depth -= 1
        """,
        """
        import threading

        class Transaction:
            state = threading.local()

            def __enter__(self):
                self.state.depth = getattr(self.state, "depth", 0) + 1
                return self

            def __exit__(self, *exc):
                self.state.depth = getattr(self.state, "depth", 1) - 1
        """,
    ),
    Shape(
        "a class attribute counted by setattr",
        ("FT101",),
        """
        class Job:
            started = 0

            @classmethod
            def mark(cls, name):
                setattr(cls, name, getattr(cls, name) + 1)

            def run(self):
                self.mark("started")

        def handle(request):
            Job().run()
        """,
        """
        import threading

        class Job:
            started = 0
            _mark_lock = threading.Lock()

            @classmethod
            def mark(cls, name):
                with cls._mark_lock:
                    setattr(cls, name, getattr(cls, name) + 1)

            def run(self):
                self.mark("started")

        def handle(request):
            Job().run()
        """,
    ),
    Shape(
        "old-style Django middleware that counts in itself",
        (
            "FT101",
            "FT105",
        ),
        """
        from django.utils.deprecation import MiddlewareMixin

        class StatsMiddleware(MiddlewareMixin):
            total = 0

            def process_request(self, request):
                self.total += 1
                request.number = self.total
        """,
        """
        import threading
        from django.utils.deprecation import MiddlewareMixin

        class StatsMiddleware(MiddlewareMixin):
            total = 0
            total_lock = threading.Lock()

            def process_request(self, request):
                with self.total_lock:
                    self.total += 1
                    request.number = self.total
        """,
    ),
]
