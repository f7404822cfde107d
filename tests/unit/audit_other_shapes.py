"""Hazards in the shapes in which services have them, each with a twin that is safe.

Written from what goes wrong at run time, before anybody looked at how the rules see it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """One hazard and its twin.

    Attributes:
        name: What the shape is.
        rules: One of these must be found, at warning or above.
        hazard: Source that breaks once threads run at once.
        twin: Source of the same shape that does not: nothing at warning or above may be found.
    """

    name: str
    rules: tuple[str, ...]
    hazard: str
    twin: str


SHAPES: list[Shape] = [
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
