"""Hazards in the shapes in which services have them, each with a twin that is safe: part 2 of 3."""

from __future__ import annotations

from tests.unit.audit_shape import Shape

SECOND: list[Shape] = [
    Shape(
        "round robin over hosts through one cycle",
        ("FT104",),
        """
        import itertools
        import asyncio

        class Client:
            hosts = itertools.cycle(["a", "b", "c"])

            def host(self):
                return next(self.hosts)

        async def handler():
            return await asyncio.to_thread(Client().host)
        """,
        """
        import asyncio
        import itertools

        HOSTS = ["a", "b", "c"]

        class Client:
            turns = itertools.count()

            def host(self):
                return HOSTS[next(self.turns) % len(HOSTS)]

        async def handler():
            return await asyncio.to_thread(Client().host)
        """,
    ),
    Shape(
        "a connection kept per name, checked with get",
        ("FT102",),
        """
        from concurrent.futures import ThreadPoolExecutor
        import redis

        _clients = {}

        def client(url):
            found = _clients.get(url)
            if not found:
                found = redis.Redis.from_url(url)
                _clients[url] = found
            return found

        def work(url):
            return client(url).ping()

        def run(urls):
            with ThreadPoolExecutor() as pool:
                return list(pool.map(work, urls))
        """,
        """
        from concurrent.futures import ThreadPoolExecutor
        import redis
        import threading

        _clients = {}
        _lock = threading.RLock()

        def client(url):
            with _lock:
                found = _clients.get(url)
                if not found:
                    found = redis.Redis.from_url(url)
                    _clients[url] = found
                return found

        def work(url):
            return client(url).ping()

        def run(urls):
            with ThreadPoolExecutor() as pool:
                return list(pool.map(work, urls))
        """,
    ),
    Shape(
        "the last item taken from a list that was seen to have one",
        ("FT102",),
        """
        import asyncio
        import smtplib

        _idle = []

        def take():
            if len(_idle) > 0:
                return _idle.pop()
            return smtplib.SMTP("localhost")

        def give_back(connection):
            _idle.append(connection)

        def send(message):
            connection = take()
            connection.send_message(message)
            give_back(connection)

        async def handler(message):
            await asyncio.to_thread(send, message)
        """,
        """
        import asyncio
        import smtplib

        _idle = []

        def take():
            try:
                return _idle.pop()
            except IndexError:
                return smtplib.SMTP("localhost")

        def give_back(connection):
            _idle.append(connection)

        def send(message):
            connection = take()
            connection.send_message(message)
            give_back(connection)

        async def handler(message):
            await asyncio.to_thread(send, message)
        """,
    ),
    Shape(
        "a singleton made by __new__",
        ("FT103",),
        """
        import threading

        class Pool:
            _instance = None

            def __new__(cls):
                if cls._instance is None:
                    cls._instance = super().__new__(cls)
                    cls._instance.sockets = []
                return cls._instance

        def handle():
            return Pool()

        def main():
            threading.Thread(target=handle).start()
        """,
        """
        import threading

        class Pool:
            _instance = None
            _making = threading.Lock()

            def __new__(cls):
                with cls._making:
                    if cls._instance is None:
                        cls._instance = super().__new__(cls)
                        cls._instance.sockets = []
                return cls._instance

        def handle():
            return Pool()

        def main():
            threading.Thread(target=handle).start()
        """,
    ),
    Shape(
        "a cache attribute of a function, made when it is missing",
        ("FT102", "FT103"),
        """
        import threading
        import http.client

        def fetch(path):
            if not hasattr(fetch, "connection"):
                fetch.connection = http.client.HTTPConnection("localhost")
            fetch.connection.request("GET", path)
            return fetch.connection.getresponse().read()

        def main():
            threading.Thread(target=fetch, args=("/",)).start()
        """,
        """
        import threading
        import http.client

        _own = threading.local()

        def fetch(path):
            if not hasattr(_own, "connection"):
                _own.connection = http.client.HTTPConnection("localhost")
            _own.connection.request("GET", path)
            return _own.connection.getresponse().read()

        def main():
            threading.Thread(target=fetch, args=("/",)).start()
        """,
    ),
    Shape(
        "a loop over listeners while others subscribe",
        ("FT107",),
        """
        from flask import Flask

        app = Flask(__name__)
        listeners = {}

        @app.post("/subscribe/<name>")
        def subscribe(name):
            listeners[name] = print
            return "ok"

        @app.post("/publish")
        def publish():
            for name, listener in listeners.items():
                listener(name)
            return "ok"
        """,
        """
        from flask import Flask

        app = Flask(__name__)
        listeners = {}

        @app.post("/subscribe/<name>")
        def subscribe(name):
            listeners[name] = print
            return "ok"

        @app.post("/publish")
        def publish():
            for name, listener in list(listeners.items()):
                listener(name)
            return "ok"
        """,
    ),
    Shape(
        "the environment of the process set for one request",
        ("FT108",),
        """
        import os
        from lanewise import task

        @task
        def render(text, zone):
            os.environ.update(TZ=zone)
            return convert(text)

        def convert(text):
            return text.upper()
        """,
        """
        import os
        import subprocess
        from lanewise import task

        @task
        def render(text, zone):
            environment = dict(os.environ)
            environment.update(TZ=zone)
            return subprocess.run(["date"], env=environment, capture_output=True).stdout
        """,
    ),
    Shape(
        "the working directory changed by a context manager",
        ("FT108",),
        """
        import contextlib
        import os
        from lanewise import task

        @task
        def build(folder):
            with contextlib.chdir(folder):
                return os.listdir()
        """,
        """
        import os
        from lanewise import task

        @task
        def build(folder):
            return os.listdir(folder)
        """,
    ),
    Shape(
        "the decimal context or the recursion limit set by a task",
        ("FT108",),
        """
        import sys
        from lanewise import task

        @task
        def parse(text):
            sys.setrecursionlimit(50_000)
            return eval(text)
        """,
        """
        import decimal
        from lanewise import task

        @task
        def parse(text):
            with decimal.localcontext() as context:
                context.prec = 50
                return decimal.Decimal(text) / 3
        """,
    ),
    Shape(
        "an accumulator as a default argument",
        ("FT106",),
        """
        import threading

        def collect(item, found=[]):
            found.append(item)
            return found

        def main():
            threading.Thread(target=collect, args=(1,)).start()
        """,
        """
        import threading

        def collect(item, found=()):
            found = [*found, item]
            return found

        def main():
            threading.Thread(target=collect, args=(1,)).start()
        """,
    ),
    Shape(
        "a default argument that is an object with a list",
        ("FT106",),
        """
        import collections
        import threading

        def tally(item, counts=collections.defaultdict(int)):
            counts[item] += 1
            return counts[item]

        def main():
            threading.Thread(target=tally, args=(1,)).start()
        """,
        """
        import collections
        import threading

        def tally(items, counts=None):
            counts = collections.defaultdict(int) if counts is None else counts
            for item in items:
                counts[item] += 1
            return counts

        def main():
            threading.Thread(target=tally, args=([1],)).start()
        """,
    ),
    Shape(
        "thread-local values set by a setup function at import",
        ("FT109",),
        """
        import threading

        _own = threading.local()

        def _setup():
            _own.buffer = bytearray()

        _setup()

        def write(data):
            _own.buffer.extend(data)

        def main():
            threading.Thread(target=write, args=(b"x",)).start()
        """,
        """
        import threading

        class _Own(threading.local):
            def __init__(self):
                self.buffer = bytearray()

        _own = _Own()

        def write(data):
            _own.buffer.extend(data)

        def main():
            threading.Thread(target=write, args=(b"x",)).start()
        """,
    ),
    Shape(
        "a session of a shared service kept by cached_property",
        ("FT110",),
        """
        from functools import cached_property
        import asyncio
        import requests

        class Api:
            @cached_property
            def session(self):
                session = requests.Session()
                session.headers["x"] = "y"
                return session

        api = Api()

        def fetch(url):
            return api.session.get(url).text

        async def handler(url):
            return await asyncio.to_thread(fetch, url)
        """,
        """
        from functools import cached_property
        import asyncio

        class Api:
            @cached_property
            def base(self):
                return "https://" + "example.org"

        api = Api()

        def fetch(url):
            return api.base + url

        async def handler(url):
            return await asyncio.to_thread(fetch, url)
        """,
    ),
]
