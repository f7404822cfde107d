"""Sharing that no global shows: what threads are given, decorators keep, frameworks hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.audit_cases import Pair, check_pair

COUNTER = """
import threading
from functools import lru_cache
from threading import Thread
from concurrent.futures import ThreadPoolExecutor
class Counter:
    def __init__(self):
        self.value = 0
    def inc(self):
        self.value += 1
"""
SAFE = COUNTER.replace(
    "        self.value += 1\n", "        with self._lock:\n            self.value += 1\n"
)


def _both(text: str) -> tuple[str, str]:
    return COUNTER + text, SAFE + text


CASES: list[tuple[str, Pair]] = [
    (
        "FT101",
        Pair(
            "a bound method on many threads",
            "Counter.value",
            *_both("def go():\n    c = Counter()\n    ts = [Thread(target=c.inc) for _ in range(8)]\n"),
        ),
    ),
    (
        "FT101",
        Pair(
            "an object given to many threads",
            "Counter.value",
            *_both(
                "def work(c):\n    c.inc()\ndef go():\n    c = Counter()\n"
                "    for _ in range(8):\n        Thread(target=work, args=(c,)).start()\n"
            ),
        ),
    ),
    (
        "FT101",
        Pair(
            "a dict given to many calls",
            "work(seen)",
            COUNTER + "def work(k, seen):\n    seen[k] += 1\ndef go(pool):\n    seen = {}\n"
            "    return [pool.submit(work, k, seen) for k in 'abc']\n",
            COUNTER + "def work(k, seen):\n    seen[k] += 1\ndef go(pool):\n    fs = []\n"
            "    for k in 'abc':\n        seen = {}\n        fs.append(pool.submit(work, k, seen))\n"
            "    return fs\n",
        ),
    ),
    (
        "FT101",
        Pair(
            "waited for one by one",
            "work(seen)",
            "def work(k, seen):\n    seen[k] += 1\nasync def go(loop):\n    seen = {}\n"
            "    for k in 'abc':\n        loop.run_in_executor(None, work, k, seen)\n",
            "def work(k, seen):\n    seen[k] += 1\nasync def go(loop):\n    seen = {}\n"
            "    for k in 'abc':\n        await loop.run_in_executor(None, work, k, seen)\n",
        ),
    ),
    (
        "FT101",
        Pair(
            "held by a cached function",
            "Counter.value",
            COUNTER + "@lru_cache\ndef counter():\n    return Counter()\n",
            COUNTER + "def counter():\n    return Counter()\n",
        ),
    ),
    (
        "FT101",
        Pair(
            "held by what the module holds",
            "Counter.value",
            COUNTER + "app = FastAPI()\napp.state.counter = Counter()\n",
            COUNTER + "def handler(request):\n    request.counter = Counter()\n",
        ),
    ),
    (
        "FT101",
        Pair(
            "in a dict of the module",
            "Counter.value",
            COUNTER + "counters = {'a': Counter()}\n",
            COUNTER + "kinds = {'a': Counter}\n",
        ),
    ),
    (
        "FT101",
        Pair(
            "an attribute of a function",
            "hit.count",
            "def hit():\n    hit.count += 1\nhit.count = 0\n",
            "def hit(box):\n    box.count += 1\nhit.count = 0\n",
        ),
    ),
    (
        "FT102",
        Pair(
            "a dict of a function",
            "get.known",
            "def get(k):\n    if k not in get.known:\n        get.known[k] = connect(k)\n"
            "    return get.known[k]\nget.known = {}\n",
            "import threading\nlock = threading.Lock()\ndef get(k):\n    with lock:\n"
            "        if k not in get.known:\n            get.known[k] = connect(k)\n"
            "        return get.known[k]\nget.known = {}\n",
            "warning",
        ),
    ),
    (
        "FT103",
        Pair(
            "made on a function's first call",
            "get.client",
            "def get():\n    if not hasattr(get, 'client'):\n        get.client = connect()\n"
            "    return get.client\n",
            "def get(box):\n    if not hasattr(box, 'client'):\n        box.client = connect()\n"
            "    return box.client\n",
            "warning",
        ),
    ),
    (
        "FT101",
        Pair(
            "an attribute of a decorator's wrapper",
            "inner.calls",
            "def counted(fn):\n    def inner(*a):\n        inner.calls += 1\n        return fn(*a)\n"
            "    inner.calls = 0\n    return inner\n@counted\ndef f():\n    pass\n",
            None,
        ),
    ),
    (
        "FT101",
        Pair(
            "held by the program itself",
            "Counter.value",
            COUNTER + "counter = Counter()\n",
            COUNTER + "if __name__ == '__main__':\n    counter = Counter()\n    counter.inc()\n",
        ),
    ),
    (
        "FT101",
        Pair(
            "a dataclass that the module holds",
            "Stats.hits",
            "from dataclasses import dataclass\n@dataclass\nclass Stats:\n    hits: int = 0\n"
            "stats = Stats()\ndef hit():\n    stats.hits += 1\n",
            "from dataclasses import dataclass\n@dataclass\nclass Stats:\n    hits: int = 0\n"
            "def hit():\n    stats = Stats()\n    stats.hits += 1\n    return stats\n",
        ),
    ),
    (
        "FT101",
        Pair(
            "a dataclass's dict",
            "Stats.by_key",
            "from dataclasses import dataclass, field\n@dataclass\nclass Stats:\n"
            "    by_key: dict = field(default_factory=dict)\nstats = Stats()\n"
            "def hit(k):\n    stats.by_key[k] += 1\n",
            None,
        ),
    ),
    (
        "FT101",
        Pair(
            "middleware",
            "CountMiddleware.seen",
            "class CountMiddleware:\n    def __init__(self, get_response):\n        self.seen = 0\n"
            "    def __call__(self, request):\n        self.seen += 1\n",
            "class CountMiddleware:\n    def __init__(self, get_response):\n        self.seen = 0\n"
            "    def __call__(self, request):\n        request.seen += 1\n",
        ),
    ),
    (
        "FT101",
        Pair(
            "what a decorator counts",
            "calls",
            "def counted(fn):\n    calls = 0\n    def inner(*a):\n        nonlocal calls\n"
            "        calls += 1\n        return fn(*a)\n    return inner\n"
            "@counted\ndef f():\n    pass\n",
            "def counted(fn):\n    def inner(*a):\n        calls = 0\n        calls += 1\n"
            "        return fn(*a)\n    return inner\n@counted\ndef f():\n    pass\n",
        ),
    ),
    (
        "FT102",
        Pair(
            "what a decorator remembers",
            "memo",
            "def memoize(fn):\n    memo = {}\n    def inner(k):\n        if k in memo:\n"
            "            return memo[k]\n        value = memo[k] = fn(k)\n        return value\n"
            "    return inner\n@memoize\ndef f(k):\n    pass\n",
            "import threading\ndef memoize(fn):\n    memo = {}\n    lock = threading.Lock()\n"
            "    def inner(k):\n        with lock:\n            if k in memo:\n"
            "                return memo[k]\n            value = memo[k] = fn(k)\n"
            "            return value\n    return inner\n@memoize\ndef f(k):\n    pass\n",
            "warning",
        ),
    ),
    (
        "FT102",
        Pair(
            "a decorator of singletons",
            "found",
            "def singleton(cls):\n    found = {}\n    def get():\n        if cls not in found:\n"
            "            found[cls] = cls()\n        return found[cls]\n    return get\n"
            "@singleton\nclass Db:\n    pass\n",
            None,
            "warning",
        ),
    ),
    (
        "FT102",
        Pair(
            "a metaclass of singletons",
            "Singleton.found",
            "class Singleton(type):\n    found = {}\n    def __call__(cls, *a):\n"
            "        if cls not in cls.found:\n            cls.found[cls] = super().__call__(*a)\n"
            "        return cls.found[cls]\n",
            "import threading\nclass Singleton(type):\n    found = {}\n    _lock = threading.Lock()\n"
            "    def __call__(cls, *a):\n        with cls._lock:\n"
            "            if cls not in cls.found:\n"
            "                cls.found[cls] = super().__call__(*a)\n        return cls.found[cls]\n",
            "warning",
        ),
    ),
    (
        "FT102",
        Pair(
            "walrus, then an early return",
            "app.pools",
            "pools = {}\ndef get(k):\n    if (p := pools.get(k)) is not None:\n        return p\n"
            "    p = pools[k] = connect(k)\n    return p\n",
            "pools = {}\ndef get(k):\n    if (p := pools.get(k)) is not None:\n        return p\n"
            "    return pools.setdefault(k, connect(k))\n",
            "warning",
        ),
    ),
    (
        "FT102",
        Pair(
            "a dict class of the project",
            "app.registry",
            "class Registry(dict):\n    pass\nregistry = Registry()\ndef get(k):\n"
            "    if k not in registry:\n        registry[k] = connect(k)\n    return registry[k]\n",
            "class Registry(dict):\n    def __setitem__(self, k, v):\n        ...\n"
            "registry = Registry()\ndef get(k):\n    if k not in registry:\n"
            "        registry[k] = connect(k)\n    return registry[k]\n",
            "warning",
        ),
    ),
    (
        "FT101",
        Pair(
            "a lock that each instance has for itself",
            "Job.made",
            "import threading\nclass Job:\n    made = 0\n    def __init__(self):\n"
            "        self._lock = threading.Lock()\n    def run(self):\n        with self._lock:\n"
            "            Job.made += 1\n",
            "import threading\nclass Job:\n    made = 0\n    _lock = threading.Lock()\n"
            "    def run(self):\n        with self._lock:\n            Job.made += 1\n",
        ),
    ),
    (
        "FT101",
        Pair(
            "a semaphore that lets four in",
            "app.n",
            "import threading\nsem = threading.Semaphore(4)\nn = 0\ndef f():\n    global n\n"
            "    with sem:\n        n += 1\n",
            "import threading\nsem = threading.Semaphore(1)\nn = 0\ndef f():\n    global n\n"
            "    with sem:\n        n += 1\n",
        ),
    ),
    (
        "FT101",
        Pair(
            "a context manager that takes a lock",
            "app.n",
            "from contextlib import contextmanager\n@contextmanager\ndef alone():\n    yield\n"
            "n = 0\ndef f():\n    global n\n    with alone():\n        n += 1\n",
            "from contextlib import contextmanager\n@contextmanager\ndef alone():\n"
            "    with some_lock:\n        yield\n"
            "n = 0\ndef f():\n    global n\n    with alone():\n        n += 1\n",
        ),
    ),
    (
        "FT101",
        Pair(
            "an object that locks itself",
            "Store.n",
            "class Store:\n    def __init__(self):\n        self.n = 0\n    def __enter__(self):\n"
            "        self.open()\n    def __exit__(self, *a): ...\n    def add(self):\n"
            "        with self:\n            self.n += 1\nstore = Store()\n",
            "class Store:\n    def __init__(self):\n        self.n = 0\n    def __enter__(self):\n"
            "        self._lock.acquire()\n    def __exit__(self, *a): ...\n    def add(self):\n"
            "        with self:\n            self.n += 1\nstore = Store()\n",
        ),
    ),
    (
        "FT105",
        Pair(
            "extended through self",
            "Box.items",
            "class Box:\n    items = []\n    def put(self, x):\n        self.items += [x]\n",
            "class Box:\n    items = ()\n    def put(self, x):\n        self.items += (x,)\n",
            "warning",
        ),
    ),
    (
        "FT101",
        Pair(
            "a pool of threads with the other's name",
            "sizes",
            "from multiprocessing.pool import ThreadPool\ndef go(paths):\n    sizes = {'n': 0}\n"
            "    def work(p):\n        sizes['n'] += 1\n    ThreadPool(4).map(work, paths)\n",
            "import multiprocessing\ndef go(paths):\n    sizes = {'n': 0}\n"
            "    def work(p):\n        sizes['n'] += 1\n    multiprocessing.Pool(4).map(work, paths)\n",
        ),
    ),
    (
        "FT101",
        Pair(
            "an executor kept on self",
            "Crawler.n",
            "from concurrent.futures import ThreadPoolExecutor\nclass Crawler:\n"
            "    def __init__(self):\n        self.n = 0\n        self.pool = ThreadPoolExecutor()\n"
            "    def go(self):\n        for _ in 'ab':\n            self.pool.submit(self.work)\n"
            "    def work(self):\n        self.n += 1\n",
            "from concurrent.futures import ProcessPoolExecutor\nclass Crawler:\n"
            "    def __init__(self):\n        self.n = 0\n        self.pool = ProcessPoolExecutor()\n"
            "    def go(self):\n        for _ in 'ab':\n            self.pool.submit(self.work)\n"
            "    def work(self):\n        self.n += 1\n",
        ),
    ),
    (
        "FT103",
        Pair(
            "a type-checker's bindings are no state",
            "Conn.sock",
            "class Conn:\n    def __init__(self):\n        self.sock = None\n    def use(self):\n"
            "        if self.sock is None:\n            self.sock = connect()\nconn = Conn()\n",
            "from typing import TYPE_CHECKING\nclass Conn:\n    def __init__(self):\n"
            "        self.sock = None\n    def use(self):\n        if self.sock is None:\n"
            "            self.sock = connect()\nif TYPE_CHECKING:\n    conn = Conn()\n",
        ),
    ),
    (
        "FT108",
        Pair(
            "a dependency of a route",
            "here: working directory",
            "import os\nfrom fastapi import Depends\ndef here():\n    os.chdir('/')\n"
            "def page(x=Depends(here)):\n    pass\n",
            "import os\ndef here():\n    os.chdir('/')\ndef page(x=here):\n    pass\n",
        ),
    ),
    (
        "FT108",
        Pair(
            "a decorator that is a function of a framework",
            "here: working directory",
            "import os\nfrom litestar import get\n@get('/')\ndef here():\n    os.chdir('/')\n",
            "import os\ndef get(x):\n    return lambda f: f\n@get('/')\ndef here():\n"
            "    os.chdir('/')\n",
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "pair"), CASES, ids=[pair.name for _, pair in CASES])
def test_a_shape_and_its_twin(tmp_path: Path, rule: str, pair: Pair) -> None:
    check_pair(tmp_path, rule, pair)
