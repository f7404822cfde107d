"""Steps that belong together."""

from __future__ import annotations

from tests.unit.audit_shape import Shape

STEPS: list[Shape] = [
    Shape(
        "taken out and put back",
        ("FT102", "FT101"),
        """
        import threading
        class LeaseTable:
            def __init__(self):
                self.leases = {}
            def renew(self, owner, until):
                lease = self.leases.pop(owner, None)
                if lease is None:
                    raise LookupError(owner)
                self.leases[owner] = {**lease, "until": until}
        table = LeaseTable()
        """,
        """
        import threading
        class LeaseTable:
            def __init__(self):
                self.leases = {}
                self.lock = threading.Lock()
            def renew(self, owner, until):
                with self.lock:
                    lease = self.leases.pop(owner, None)
                    if lease is None:
                        raise LookupError(owner)
                    self.leases[owner] = {**lease, "until": until}
        table = LeaseTable()
        """,
    ),
    Shape(
        "numbered by the length",
        ("FT102", "FT101"),
        """
        import threading
        rows = []
        def add(payload):
            row = {"id": len(rows) + 1, **payload}
            rows.append(row)
            return row["id"]
        """,
        """
        import threading
        rows = []
        rows_lock = threading.Lock()
        def add(payload):
            with rows_lock:
                row = {"id": len(rows) + 1, **payload}
                rows.append(row)
            return row["id"]
        """,
    ),
    Shape(
        "a pair that is replaced",
        ("FT101",),
        """
        import threading
        import time
        _window = (0.0, 0)
        def allow(limit=10):
            global _window
            now = time.time()
            start, used = _window
            if now - start > 1:
                start, used = now, 0
            _window = (start, used + 1)
            return used < limit
        """,
        """
        import threading
        import time
        _window = (0.0, 0)
        _window_lock = threading.Lock()
        def allow(limit=10):
            global _window
            now = time.time()
            with _window_lock:
                start, used = _window
                if now - start > 1:
                    start, used = now, 0
                _window = (start, used + 1)
            return used < limit
        """,
    ),
    Shape(
        "a name that is promised once",
        ("FT102",),
        """
        import threading
        class Directory:
            def __init__(self):
                self.by_name = {}
                self.by_id = {}
            def rename(self, uid, new):
                if new in self.by_name:
                    raise ValueError(new)
                old = self.by_id[uid]
                del self.by_name[old]
                self.by_name[new] = uid
                self.by_id[uid] = new
        directory = Directory()
        """,
        """
        import threading
        class Directory:
            def __init__(self):
                self.by_name = {}
                self.by_id = {}
                self.lock = threading.Lock()
            def rename(self, uid, new):
                with self.lock:
                    if new in self.by_name:
                        raise ValueError(new)
                    old = self.by_id[uid]
                    del self.by_name[old]
                    self.by_name[new] = uid
                    self.by_id[uid] = new
        directory = Directory()
        """,
    ),
    Shape(
        "a token that is awaited",
        ("FT101", "FT102", "FT103"),
        """
        import asyncio
        _token = None
        async def token(auth):
            global _token
            if _token is None:
                _token = await auth.login()
            return _token
        """,
        """
        import asyncio
        _token = None
        _token_lock = asyncio.Lock()
        async def token(auth):
            global _token
            async with _token_lock:
                if _token is None:
                    _token = await auth.login()
            return _token
        """,
    ),
    Shape(
        "an item claimed in a loop",
        ("FT102", "FT101", "FT103"),
        """
        import threading
        JOBS = {1: {"owner": None}, 2: {"owner": None}}
        def claim(worker):
            for jid, job in JOBS.items():
                if job["owner"] is None:
                    job["owner"] = worker
                    return jid
            return None
        """,
        """
        import threading
        JOBS = {1: {"owner": None}, 2: {"owner": None}}
        JOBS_LOCK = threading.Lock()
        def claim(worker):
            with JOBS_LOCK:
                for jid, job in JOBS.items():
                    if job["owner"] is None:
                        job["owner"] = worker
                        return jid
            return None
        """,
    ),
    Shape(
        "a chain that workers advance",
        ("FT104",),
        """
        import itertools
        from concurrent.futures import ThreadPoolExecutor
        import threading
        lock = threading.Lock()
        def feed(parts, send):
            stream = itertools.chain.from_iterable(parts)
            def pump():
                while True:
                    item = next(stream, None)
                    if item is None:
                        return
                    send(item)
            with ThreadPoolExecutor(3) as ex:
                for _ in range(3):
                    ex.submit(pump)
        """,
        """
        import itertools
        from concurrent.futures import ThreadPoolExecutor
        import threading
        lock = threading.Lock()
        def feed(parts, send):
            stream = itertools.chain.from_iterable(parts)
            def pump():
                while True:
                    with lock:
                        item = next(stream, None)
                    if item is None:
                        return
                    send(item)
            with ThreadPoolExecutor(3) as ex:
                for _ in range(3):
                    ex.submit(pump)
        """,
    ),
    Shape(
        "a factory's own application",
        ("FT101",),
        """
        import threading
        from flask import Flask
        def create_app():
            app = Flask(__name__)
            app.config["hits"] = 0
            @app.before_request
            def count():
                app.config["hits"] += 1
            return app
        """,
        """
        import threading
        from flask import Flask
        lock = threading.Lock()
        def create_app():
            app = Flask(__name__)
            app.config["hits"] = 0
            @app.before_request
            def count():
                with lock:
                    app.config["hits"] += 1
            return app
        """,
    ),
    Shape(
        "a batch cut off",
        ("FT101", "FT102"),
        """
        import threading
        pending = []
        def next_batch(n=10):
            batch = pending[:n]
            del pending[:n]
            return batch
        def push(x):
            pending.append(x)
        """,
        """
        import threading
        pending = []
        pending_lock = threading.Lock()
        def next_batch(n=10):
            with pending_lock:
                batch = pending[:n]
                del pending[:n]
            return batch
        def push(x):
            with pending_lock:
                pending.append(x)
        """,
    ),
    Shape(
        "a place that is looked up",
        ("FT102", "FT101", "FT107"),
        """
        import bisect
        import threading
        class Timeline:
            def __init__(self):
                self.entries = []
            def add(self, at, what):
                i = bisect.bisect(self.entries, (at,))
                self.entries.insert(i, (at, what))
        timeline = Timeline()
        """,
        """
        import bisect
        import threading
        class Timeline:
            def __init__(self):
                self.entries = []
                self.lock = threading.Lock()
            def add(self, at, what):
                with self.lock:
                    i = bisect.bisect(self.entries, (at,))
                    self.entries.insert(i, (at, what))
        timeline = Timeline()
        """,
    ),
    Shape(
        "searched, then put in",
        ("FT102",),
        """
        import secrets
        import threading
        import time
        class Session:
            def __init__(self, user):
                self.user = user
                self.started = time.time()
        class SessionStore:
            def __init__(self):
                self._sessions = {}
            def login(self, user):
                for sid, s in self._sessions.items():
                    if s.user == user:
                        return sid
                sid = secrets.token_hex(8)
                self._sessions[sid] = Session(user)
                return sid
        store = SessionStore()
        """,
        """
        import secrets
        import threading
        import time
        class Session:
            def __init__(self, user):
                self.user = user
                self.started = time.time()
        class SessionStore:
            def __init__(self):
                self._sessions = {}
                self._mutex = threading.RLock()
            def login(self, user):
                with self._mutex:
                    for sid, s in self._sessions.items():
                        if s.user == user:
                            return sid
                    sid = secrets.token_hex(8)
                    self._sessions[sid] = Session(user)
                    return sid
        store = SessionStore()
        """,
    ),
    Shape(
        "looked at in a try",
        ("FT102",),
        """
        import threading
        _undo = []
        def undo():
            try:
                action = _undo[-1]
            except IndexError:
                return False
            _undo.pop()
            action()
            return True
        """,
        """
        import threading
        _undo = []
        _undo_lock = threading.Lock()
        def undo():
            with _undo_lock:
                try:
                    action = _undo[-1]
                except IndexError:
                    return False
                _undo.pop()
            action()
            return True
        """,
    ),
    Shape(
        "a query that is kept",
        ("FT102",),
        """
        import threading
        from django.db import models
        class Category(models.Model):
            slug = models.SlugField()
            _by_slug = {}
            @classmethod
            def lookup(cls, slug):
                if slug not in cls._by_slug:
                    cls._by_slug[slug] = cls.objects.get(slug=slug)
                return cls._by_slug[slug]
        """,
        """
        import threading
        from django.db import models
        class Category(models.Model):
            slug = models.SlugField()
            _by_slug = {}
            _slug_lock = threading.Lock()
            @classmethod
            def lookup(cls, slug):
                with cls._slug_lock:
                    if slug not in cls._by_slug:
                        cls._by_slug[slug] = cls.objects.get(slug=slug)
                    return cls._by_slug[slug]
        """,
    ),
    Shape(
        "a lease that is over",
        ("FT101", "FT102"),
        """
        import threading
        import time
        leader = {"id": None, "until": 0}
        def elect(me):
            if leader["until"] < time.time():
                leader.update(id=me, until=time.time() + 10)
            return leader["id"] == me
        """,
        """
        import threading
        import time
        leader = {"id": None, "until": 0}
        leader_lock = threading.Lock()
        def elect(me):
            with leader_lock:
                if leader["until"] < time.time():
                    leader.update(id=me, until=time.time() + 10)
                return leader["id"] == me
        """,
    ),
    Shape(
        "two items that change places",
        ("FT101",),
        """
        import random
        import threading
        order = list(range(52))
        def shuffle_two():
            i, j = random.sample(range(52), 2)
            tmp = order[i]
            order[i] = order[j]
            order[j] = tmp
        """,
        """
        import random
        import threading
        order = list(range(52))
        order_lock = threading.Lock()
        def shuffle_two():
            i, j = random.sample(range(52), 2)
            with order_lock:
                tmp = order[i]
                order[i] = order[j]
                order[j] = tmp
        """,
    ),
    Shape(
        "seats that are counted",
        ("FT102", "FT101"),
        """
        import threading
        from flask import Flask, abort, request
        app = Flask(__name__)
        class Workshop:
            def __init__(self, seats):
                self.seats = seats
                self.attendees = []
            def book(self, who):
                if len(self.attendees) >= self.seats:
                    return False
                self.attendees.append(who)
                return True
        WORKSHOPS = {1: Workshop(20), 2: Workshop(8)}
        @app.post("/book/<int:wid>")
        def book(wid):
            if not WORKSHOPS[wid].book(request.form["who"]):
                abort(409)
            return "ok"
        """,
        """
        import threading
        from flask import Flask, abort, request
        app = Flask(__name__)
        class Workshop:
            def __init__(self, seats):
                self.seats = seats
                self.attendees = []
                self.lock = threading.Lock()
            def book(self, who):
                with self.lock:
                    if len(self.attendees) >= self.seats:
                        return False
                    self.attendees.append(who)
                    return True
        WORKSHOPS = {1: Workshop(20), 2: Workshop(8)}
        @app.post("/book/<int:wid>")
        def book(wid):
            if not WORKSHOPS[wid].book(request.form["who"]):
                abort(409)
            return "ok"
        """,
    ),
]
