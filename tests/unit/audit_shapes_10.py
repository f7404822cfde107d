"""Steps that belong together, and objects not made for threads."""

from __future__ import annotations

from tests.unit.audit_shape import Shape

STEPS: list[Shape] = [
    Shape(
        "taken out and put back",
        (
            "FT102",
            "FT101",
        ),
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
        (
            "FT102",
            "FT101",
        ),
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
        (
            "FT101",
            "FT102",
            "FT103",
        ),
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
        (
            "FT102",
            "FT101",
            "FT103",
        ),
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
        (
            "FT101",
            "FT102",
        ),
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
        (
            "FT102",
            "FT101",
            "FT107",
        ),
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
        "seats that are counted",
        (
            "FT102",
            "FT101",
        ),
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
    Shape(
        "an asyncio queue fed by a thread",
        ("FT111",),
        """
        import asyncio
        import threading
        queue: asyncio.Queue = asyncio.Queue()
        loop = asyncio.new_event_loop()
        def producer(items):
            for item in items:
                queue.put_nowait(item)
        def start(items):
            threading.Thread(target=loop.run_forever, daemon=True).start()
            threading.Thread(target=producer, args=(items,)).start()
        """,
        """
        import asyncio
        import threading
        queue: asyncio.Queue = asyncio.Queue()
        loop = asyncio.new_event_loop()
        def producer(items):
            for item in items:
                loop.call_soon_threadsafe(queue.put_nowait, item)
        def start(items):
            threading.Thread(target=loop.run_forever, daemon=True).start()
            threading.Thread(target=producer, args=(items,)).start()
        """,
    ),
    Shape(
        "a cursor for all requests",
        ("FT111",),
        """
        import sqlite3
        import threading
        from flask import Flask, jsonify
        app = Flask(__name__)
        conn = sqlite3.connect("app.db", check_same_thread=False)
        cur = conn.cursor()
        @app.get("/users/<int:uid>")
        def user(uid):
            cur.execute("select name from users where id = ?", (uid,))
            row = cur.fetchone()
            return jsonify(name=row[0] if row else None)
        """,
        """
        import sqlite3
        import threading
        from flask import Flask, jsonify
        app = Flask(__name__)
        conn = sqlite3.connect("app.db", check_same_thread=False)
        cur = conn.cursor()
        db_lock = threading.Lock()
        @app.get("/users/<int:uid>")
        def user(uid):
            with db_lock:
                cur.execute("select name from users where id = ?", (uid,))
                row = cur.fetchone()
            return jsonify(name=row[0] if row else None)
        """,
    ),
    Shape(
        "an asyncio event set by a thread",
        ("FT111",),
        """
        import asyncio
        import threading
        class Bridge:
            def __init__(self, loop):
                self.loop = loop
                self.done = asyncio.Event()
            def work(self, job):
                job()
                self.done.set()
            def start(self, job):
                threading.Thread(target=self.work, args=(job,)).start()
            async def wait(self):
                await self.done.wait()
        """,
        """
        import asyncio
        import threading
        class Bridge:
            def __init__(self, loop):
                self.loop = loop
                self.done = asyncio.Event()
            def work(self, job):
                job()
                self.loop.call_soon_threadsafe(self.done.set)
            def start(self, job):
                threading.Thread(target=self.work, args=(job,)).start()
            async def wait(self):
                await self.done.wait()
        """,
    ),
    Shape(
        "a connection for all threads",
        ("FT111",),
        """
        import sqlite3
        import threading
        _db = sqlite3.connect("queue.db", check_same_thread=False)
        def push(body):
            _db.execute("insert into q(body) values (?)", (body,))
            _db.commit()
        def worker():
            while True:
                push("tick")
        for _ in range(3):
            threading.Thread(target=worker, daemon=True).start()
        """,
        """
        import sqlite3
        import threading
        _db = sqlite3.connect("queue.db", check_same_thread=False)
        _db_lock = threading.Lock()
        def push(body):
            with _db_lock:
                _db.execute("insert into q(body) values (?)", (body,))
                _db.commit()
        def worker():
            while True:
                push("tick")
        for _ in range(3):
            threading.Thread(target=worker, daemon=True).start()
        """,
    ),
    Shape(
        "a stream for all requests",
        ("FT111",),
        """
        import threading
        import zlib
        from flask import Flask, request
        app = Flask(__name__)
        _packer = zlib.compressobj()
        @app.post("/log")
        def log():
            chunk = _packer.compress(request.data)
            chunk += _packer.flush(zlib.Z_SYNC_FLUSH)
            return chunk
        """,
        """
        import threading
        import zlib
        from flask import Flask, request
        app = Flask(__name__)
        _packer = zlib.compressobj()
        _packer_lock = threading.Lock()
        @app.post("/log")
        def log():
            with _packer_lock:
                chunk = _packer.compress(request.data)
                chunk += _packer.flush(zlib.Z_SYNC_FLUSH)
            return chunk
        """,
    ),
    Shape(
        "a file whose place is set",
        ("FT111",),
        """
        import threading
        _fh = open("/srv/blob.bin", "rb")
        def read_at(offset, size):
            _fh.seek(offset)
            return _fh.read(size)
        """,
        """
        import threading
        _fh = open("/srv/blob.bin", "rb")
        _fh_lock = threading.Lock()
        def read_at(offset, size):
            with _fh_lock:
                _fh.seek(offset)
                return _fh.read(size)
        """,
    ),
]
