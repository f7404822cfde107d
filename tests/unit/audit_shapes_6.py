"""Hazards of services and frameworks, each with a twin that is safe: part 2 of 2."""

from __future__ import annotations

from tests.unit.audit_shape import Shape

FRAMEWORKS: list[Shape] = [
    Shape(
        "a Celery task class that keeps its database",
        ("FT103",),
        """
        from celery import Celery, Task

        app = Celery("x")

        class DatabaseTask(Task):
            _db = None

            @property
            def db(self):
                if self._db is None:
                    self._db = Database.connect()
                return self._db

        @app.task(base=DatabaseTask, bind=True)
        def process(self):
            return self.db.query("select 1")
        """,
        """
        import threading
        from celery import Celery, Task

        app = Celery("x")

        class DatabaseTask(Task):
            _db = None
            _db_lock = threading.Lock()

            @property
            def db(self):
                with self._db_lock:
                    if self._db is None:
                        self._db = Database.connect()
                    return self._db

        @app.task(base=DatabaseTask, bind=True)
        def process(self):
            return self.db.query("select 1")
        """,
    ),
    Shape(
        "a threading HTTP server whose handlers count on the server",
        ("FT101",),
        """
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        class Server(ThreadingHTTPServer):
            def __init__(self, address):
                super().__init__(address, Handler)
                self.hits = 0

        class Handler(BaseHTTPRequestHandler):
            server: Server

            def do_GET(self):
                self.server.hits += 1
                self.send_response(200)
                self.end_headers()

        def main():
            Server(("127.0.0.1", 8000)).serve_forever()
        """,
        """
        import threading
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        class Server(ThreadingHTTPServer):
            def __init__(self, address):
                super().__init__(address, Handler)
                self.hits = 0
                self.hits_lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            server: Server

            def do_GET(self):
                with self.server.hits_lock:
                    self.server.hits += 1
                self.send_response(200)
                self.end_headers()

        def main():
            Server(("127.0.0.1", 8000)).serve_forever()
        """,
    ),
    Shape(
        "workers given a dict by keyword",
        ("FT101",),
        """
        from threading import Thread
        import queue

        def worker(jobs, stats):
            while (job := jobs.get()) is not None:
                job()
                stats["done"] += 1

        def run(todo):
            jobs = queue.Queue()
            stats = {"done": 0}
            for job in todo:
                jobs.put(job)
            crew = [Thread(target=worker, kwargs={"jobs": jobs, "stats": stats}) for _ in range(4)]
            for t in crew:
                t.start()
            return stats
        """,
        """
        from threading import Lock, Thread
        import queue

        def worker(jobs, stats, lock):
            while (job := jobs.get()) is not None:
                job()
                with lock:
                    stats["done"] += 1

        def run(todo):
            jobs = queue.Queue()
            stats = {"done": 0}
            lock = Lock()
            for job in todo:
                jobs.put(job)
            crew = [
                Thread(target=worker, kwargs={"jobs": jobs, "stats": stats, "lock": lock})
                for _ in range(4)
            ]
            for t in crew:
                t.start()
            return stats
        """,
    ),
    Shape(
        "a Thread subclass that is given the object to count in",
        ("FT101",),
        """
        import threading

        class Stats:
            def __init__(self):
                self.bytes = 0

        class Downloader(threading.Thread):
            def __init__(self, urls, stats):
                super().__init__(daemon=True)
                self.urls = urls
                self.stats = stats

            def run(self):
                for url in self.urls:
                    self.stats.bytes += len(fetch(url))

        def download(parts):
            stats = Stats()
            crew = [Downloader(urls, stats) for urls in parts]
            for t in crew:
                t.start()
            for t in crew:
                t.join()
            return stats.bytes
        """,
        """
        import threading

        class Stats:
            def __init__(self):
                self.bytes = 0
                self.lock = threading.Lock()

        class Downloader(threading.Thread):
            def __init__(self, urls, stats):
                super().__init__(daemon=True)
                self.urls = urls
                self.stats = stats

            def run(self):
                for url in self.urls:
                    body = fetch(url)
                    with self.stats.lock:
                        self.stats.bytes += len(body)

        def download(parts):
            stats = Stats()
            crew = [Downloader(urls, stats) for urls in parts]
            for t in crew:
                t.start()
            for t in crew:
                t.join()
            return stats.bytes
        """,
    ),
    Shape(
        "a logging filter that counts; twin is a handler, whose emit is locked",
        ("FT101",),
        """
        import logging

        class Counting(logging.Filter):
            def __init__(self):
                super().__init__()
                self.seen = 0

            def filter(self, record):
                self.seen += 1
                record.number = self.seen
                return True

        counting = Counting()
        logging.getLogger("app").addFilter(counting)
        """,
        """
        import logging

        class Counting(logging.Handler):
            def __init__(self):
                super().__init__()
                self.seen = 0

            def emit(self, record):
                self.seen += 1
                record.number = self.seen

        counting = Counting()
        logging.getLogger("app").addHandler(counting)
        """,
    ),
    Shape(
        "a gRPC servicer that counts its calls",
        ("FT101",),
        """
        from concurrent import futures
        import grpc
        from app import greeter_pb2, greeter_pb2_grpc

        class Greeter(greeter_pb2_grpc.GreeterServicer):
            def __init__(self):
                self.calls = 0

            def SayHello(self, request, context):
                self.calls += 1
                return greeter_pb2.Reply(text=f"{self.calls}")

        def serve():
            server = grpc.server(futures.ThreadPoolExecutor(max_workers=10))
            greeter_pb2_grpc.add_GreeterServicer_to_server(Greeter(), server)
            server.start()
        """,
        """
        import threading
        from concurrent import futures
        import grpc
        from app import greeter_pb2, greeter_pb2_grpc

        class Greeter(greeter_pb2_grpc.GreeterServicer):
            def __init__(self):
                self.calls = 0
                self._calls_lock = threading.Lock()

            def SayHello(self, request, context):
                with self._calls_lock:
                    self.calls += 1
                    n = self.calls
                return greeter_pb2.Reply(text=f"{n}")

        def serve():
            server = grpc.server(futures.ThreadPoolExecutor(max_workers=10))
            greeter_pb2_grpc.add_GreeterServicer_to_server(Greeter(), server)
            server.start()
        """,
    ),
    Shape(
        "a done-callback that counts",
        ("FT101",),
        """
        from concurrent.futures import ThreadPoolExecutor

        class Batch:
            def __init__(self):
                self.pool = ThreadPoolExecutor()
                self.finished = 0

            def add(self, fn):
                self.pool.submit(fn).add_done_callback(self._done)

            def _done(self, future):
                self.finished += 1
        """,
        """
        import threading
        from concurrent.futures import ThreadPoolExecutor

        class Batch:
            def __init__(self):
                self.pool = ThreadPoolExecutor()
                self.finished = 0
                self._finished_lock = threading.Lock()

            def add(self, fn):
                self.pool.submit(fn).add_done_callback(self._done)

            def _done(self, future):
                with self._finished_lock:
                    self.finished += 1
        """,
    ),
    Shape(
        "a partial with one dict, given to several threads",
        ("FT101",),
        """
        import threading
        from functools import partial

        def crawl(seen, host):
            for url in urls_of(host):
                seen[url] = seen.get(url, 0) + 1

        def crawl_all(hosts):
            seen = {}
            work = partial(crawl, seen)
            crew = [threading.Thread(target=work, args=(host,)) for host in hosts]
            for t in crew:
                t.start()
            for t in crew:
                t.join()
            return seen
        """,
        """
        import threading
        from functools import partial

        def crawl(seen, lock, host):
            for url in urls_of(host):
                with lock:
                    seen[url] = seen.get(url, 0) + 1

        def crawl_all(hosts):
            seen = {}
            work = partial(crawl, seen, threading.Lock())
            crew = [threading.Thread(target=work, args=(host,)) for host in hosts]
            for t in crew:
                t.start()
            for t in crew:
                t.join()
            return seen
        """,
    ),
    Shape(
        "functools.cache as the maker of one client",
        (
            "FT110",
            "FT103",
        ),
        """
        from functools import cache
        import httpx

        @cache
        def client():
            return httpx.Client(timeout=5)

        def fetch(url):
            return client().get(url)
        """,
        """
        import threading
        import httpx

        _client = None
        _client_lock = threading.Lock()

        def client():
            global _client
            with _client_lock:
                if _client is None:
                    _client = httpx.Client(timeout=5)
                return _client

        def fetch(url):
            return client().get(url)
        """,
    ),
    Shape(
        "a decorator's wrapper with its cache as a default argument",
        (
            "FT106",
            "FT102",
        ),
        """
        import functools

        def remembered(fn):
            @functools.wraps(fn)
            def inner(*args, _known={}):
                if args not in _known:
                    _known[args] = fn(*args)
                return _known[args]
            return inner

        @remembered
        def connection(host):
            return Connection(host)
        """,
        """
        import functools
        import threading

        def remembered(fn):
            lock = threading.Lock()

            @functools.wraps(fn)
            def inner(*args, _known={}):
                with lock:
                    if args not in _known:
                        _known[args] = fn(*args)
                    return _known[args]
            return inner

        @remembered
        def connection(host):
            return Connection(host)
        """,
    ),
]
