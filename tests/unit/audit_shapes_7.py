"""Hazards around containers, closures and executors, each with a twin that is safe."""

from __future__ import annotations

from tests.unit.audit_shape import Shape

COLLECTIONS: list[Shape] = [
    Shape(
        "an id taken from the head of a list and deleted",
        (
            "FT101",
            "FT102",
        ),
        """
        _free = list(range(100))
        def allocate():
            slot = _free[0]
            del _free[0]
            return slot
        def release(slot):
            _free.append(slot)
        """,
        """
        from collections import deque
        _free = deque(range(100))
        def allocate():
            return _free.popleft()
        def release(slot):
            _free.append(slot)
        """,
    ),
    Shape(
        "weak references in a dict, renewed when dead",
        ("FT102",),
        """
        import weakref
        _known = {}
        def thing(key):
            ref = _known.get(key)
            found = ref() if ref is not None else None
            if found is None:
                found = Thing(key)
                _known[key] = weakref.ref(found)
            return found
        """,
        """
        import threading
        import weakref
        _known = {}
        _known_lock = threading.Lock()
        def thing(key):
            with _known_lock:
                ref = _known.get(key)
                found = ref() if ref is not None else None
                if found is None:
                    found = Thing(key)
                    _known[key] = weakref.ref(found)
                return found
        """,
    ),
    Shape(
        "a decorator that is a class with a cache",
        ("FT102",),
        """
        class memoize:
            def __init__(self, fn):
                self.fn = fn
                self.cache = {}
            def __call__(self, *args):
                try:
                    return self.cache[args]
                except KeyError:
                    value = self.cache[args] = self.fn(*args)
                    return value

        @memoize
        def connection(host):
            return connect(host)
        """,
        """
        import threading
        class memoize:
            def __init__(self, fn):
                self.fn = fn
                self.cache = {}
                self.lock = threading.RLock()
            def __call__(self, *args):
                with self.lock:
                    try:
                        return self.cache[args]
                    except KeyError:
                        value = self.cache[args] = self.fn(*args)
                        return value

        @memoize
        def connection(host):
            return connect(host)
        """,
    ),
    Shape(
        "the oldest entry evicted",
        (
            "FT102",
            "FT104",
            "FT107",
        ),
        """
        _results = {}
        def remember(key, value):
            _results[key] = value
            if len(_results) > 1000:
                oldest = next(iter(_results))
                del _results[oldest]
        """,
        """
        import threading
        _results = {}
        _results_lock = threading.Lock()
        def remember(key, value):
            with _results_lock:
                _results[key] = value
                if len(_results) > 1000:
                    oldest = next(iter(_results))
                    del _results[oldest]
        """,
    ),
    Shape(
        "state made by a lifespan, counted by plain routes",
        ("FT101",),
        """
        from contextlib import asynccontextmanager
        from fastapi import FastAPI, Request
        @asynccontextmanager
        async def lifespan(app):
            app.state.stats = {"served": 0}
            yield
        app = FastAPI(lifespan=lifespan)
        @app.get("/")
        def index(request: Request):
            request.app.state.stats["served"] += 1
            return request.app.state.stats
        """,
        """
        import threading
        from contextlib import asynccontextmanager
        from fastapi import FastAPI, Request
        @asynccontextmanager
        async def lifespan(app):
            app.state.stats = {"served": 0}
            app.state.stats_lock = threading.Lock()
            yield
        app = FastAPI(lifespan=lifespan)
        @app.get("/")
        def index(request: Request):
            with request.app.state.stats_lock:
                request.app.state.stats["served"] += 1
                return dict(request.app.state.stats)
        """,
    ),
    Shape(
        "lambdas on the loop's executor, with a nonlocal",
        ("FT101",),
        """
        import asyncio
        async def check_all(urls):
            loop = asyncio.get_running_loop()
            failed = 0
            def check(url):
                nonlocal failed
                if not ping(url):
                    failed += 1
            await asyncio.gather(*[loop.run_in_executor(None, lambda u=u: check(u)) for u in urls])
            return failed
        """,
        """
        import asyncio
        async def check_all(urls):
            loop = asyncio.get_running_loop()
            def check(url):
                return 0 if ping(url) else 1
            run = loop.run_in_executor
            found = await asyncio.gather(*[run(None, lambda u=u: check(u)) for u in urls])
            failed = 0
            for one in found:
                failed += one
            return failed
        """,
    ),
    Shape(
        "anyio's threads started by a task group",
        ("FT101",),
        """
        import anyio
        from anyio import to_thread
        async def scan(files):
            hits = 0
            def look(file):
                nonlocal hits
                hits += file.read().count(b"x")
            async with anyio.create_task_group() as tg:
                for file in files:
                    tg.start_soon(to_thread.run_sync, look, file)
            return hits
        """,
        """
        import threading
        import anyio
        from anyio import to_thread
        async def scan(files):
            hits = 0
            hits_lock = threading.Lock()
            def look(file):
                nonlocal hits
                n = file.read().count(b"x")
                with hits_lock:
                    hits += n
            async with anyio.create_task_group() as tg:
                for file in files:
                    tg.start_soon(to_thread.run_sync, look, file)
            return hits
        """,
    ),
    Shape(
        "a thread-local of a service with its connection set in the constructor",
        ("FT109",),
        """
        import sqlite3
        import threading
        class Db:
            def __init__(self, path):
                self.path = path
                self._local = threading.local()
                self._local.conn = sqlite3.connect(path)
            def query(self, text):
                return self._local.conn.execute(text).fetchall()
        db = Db("app.db")
        """,
        """
        import sqlite3
        import threading
        class Db:
            def __init__(self, path):
                self.path = path
                self._local = threading.local()
            def query(self, text):
                conn = getattr(self._local, "conn", None)
                if conn is None:
                    conn = self._local.conn = sqlite3.connect(self.path)
                return conn.execute(text).fetchall()
        db = Db("app.db")
        """,
    ),
    Shape(
        "listeners of all instances in a class's defaultdict",
        ("FT105",),
        """
        from collections import defaultdict
        class Emitter:
            listeners = defaultdict(list)
            def on(self, event, fn):
                self.listeners[event].append(fn)
            def emit(self, event, *args):
                for fn in tuple(self.listeners.get(event, ())):
                    fn(*args)
        """,
        """
        from collections import defaultdict
        import threading
        class Emitter:
            listeners = defaultdict(list)
            lock = threading.Lock()
            def on(self, event, fn):
                with self.lock:
                    self.listeners[event].append(fn)
            def emit(self, event, *args):
                with self.lock:
                    fns = tuple(self.listeners.get(event, ()))
                for fn in fns:
                    fn(*args)
        """,
    ),
    Shape(
        "the slowest of all jobs while jobs come and go",
        ("FT107",),
        """
        JOBS = {}
        def begin(job):
            JOBS[job.id] = job
        def end(job):
            JOBS.pop(job.id, None)
        def slowest():
            return max(JOBS.values(), key=lambda job: job.age(), default=None)
        """,
        """
        JOBS = {}
        def begin(job):
            JOBS[job.id] = job
        def end(job):
            JOBS.pop(job.id, None)
        def slowest():
            return max(list(JOBS.values()), key=lambda job: job.age(), default=None)
        """,
    ),
    Shape(
        "a connection made on first use in a closure",
        ("FT103",),
        """
        def make_getter(dsn):
            conn = None
            def get():
                nonlocal conn
                if conn is None:
                    conn = connect(dsn)
                return conn
            return get
        get_conn = make_getter("db")
        """,
        """
        import threading
        def make_getter(dsn):
            conn = None
            lock = threading.Lock()
            def get():
                nonlocal conn
                with lock:
                    if conn is None:
                        conn = connect(dsn)
                    return conn
            return get
        get_conn = make_getter("db")
        """,
    ),
    Shape(
        "a heap of jobs that are due",
        ("FT102",),
        """
        import heapq
        import time
        class Agenda:
            def __init__(self):
                self.jobs = []
            def add(self, at, job):
                heapq.heappush(self.jobs, (at, job))
            def due(self):
                if self.jobs and self.jobs[0][0] <= time.time():
                    return heapq.heappop(self.jobs)
                return None
        agenda = Agenda()
        """,
        """
        import heapq
        import threading
        import time
        class Agenda:
            def __init__(self):
                self.jobs = []
                self.mutex = threading.Lock()
            def add(self, at, job):
                with self.mutex:
                    heapq.heappush(self.jobs, (at, job))
            def due(self):
                with self.mutex:
                    if self.jobs and self.jobs[0][0] <= time.time():
                        return heapq.heappop(self.jobs)
                    return None
        agenda = Agenda()
        """,
    ),
    Shape(
        "a batch copied, sent, then cleared",
        (
            "FT101",
            "FT102",
            "FT105",
        ),
        """
        class Batcher:
            def __init__(self):
                self.items = []
            def add(self, item):
                self.items.append(item)
                if len(self.items) >= 50:
                    self.flush()
            def flush(self):
                batch = list(self.items)
                send(batch)
                self.items.clear()
        batcher = Batcher()
        """,
        """
        import threading
        class Batcher:
            def __init__(self):
                self.items = []
                self._lock = threading.RLock()
            def add(self, item):
                with self._lock:
                    self.items.append(item)
                    if len(self.items) >= 50:
                        self.flush()
            def flush(self):
                with self._lock:
                    batch, self.items = self.items, []
                send(batch)
        batcher = Batcher()
        """,
    ),
]
