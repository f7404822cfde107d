"""Objects that are not made for threads."""

from __future__ import annotations

from tests.unit.audit_shape import Shape

NOT_FOR_THREADS: list[Shape] = [
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
