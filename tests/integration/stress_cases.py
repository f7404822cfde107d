"""Small modules with a hazard, and twins that differ only in what makes them safe."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One shape.

    Attributes:
        name: What the shape is.
        rule: The rule that finds it.
        hazard: A module's source that two calls can tear apart.
        twin: The same, made safe.
    """

    name: str
    rule: str
    hazard: str
    twin: str


CASES = [
    Case(
        "a counter of the module", "FT101",
        "n = 0\ndef hit():\n    global n\n    n += 1\n",
        "import threading\nlock = threading.Lock()\nn = 0\ndef hit():\n    global n\n    with lock:\n        n += 1\n",
    ),
    Case(
        "a counter of an instance, behind an RLock", "FT101",
        "class Meter:\n    def __init__(self):\n        self.total = 0\n    def hit(self):\n        self.total += 1\nMETER = Meter()\n",
        "import threading\nclass Meter:\n    def __init__(self):\n        self.total = 0\n        self.lock = threading.RLock()\n"
        "    def hit(self):\n        with self.lock, self.lock:\n            self.total += 1\nMETER = Meter()\n",
    ),
    Case(
        "counts by key, with an annotated argument, behind a Condition", "FT101",
        "counts = {}\ndef count(kind: str):\n    counts[kind] = counts.get(kind, 0) + 1\n",
        "import threading\ncond = threading.Condition()\ncounts = {}\ndef count(kind: str):\n    with cond:\n"
        "        counts[kind] = counts.get(kind, 0) + 1\n        cond.notify()\n",
    ),
    Case(
        "a task with inputs", "FT101",
        "from lanewise import task\ncounts = {}\n@task(inputs=lambda n: (['a', 'b'] * n,))\ndef tally(words):\n"
        "    for word in words:\n        counts[word] = counts.get(word, 0) + 1\n",
        "import threading\nfrom lanewise import task\ncounts = {}\nlock = threading.Lock()\n"
        "@task(inputs=lambda n: (['a', 'b'] * n,))\ndef tally(words):\n    for word in words:\n        with lock:\n"
        "            counts[word] = counts.get(word, 0) + 1\n",
    ),
    Case(
        "a cache whose values have identity", "FT102",
        "class Quote: pass\ncache = {}\ndef quote(sku: str):\n    if sku not in cache:\n        cache[sku] = Quote()\n    return cache[sku]\n",
        "import threading\nclass Quote: pass\ncache = {}\nlock = threading.Lock()\ndef quote(sku: str):\n    with lock:\n"
        "        if sku not in cache:\n            cache[sku] = Quote()\n        return cache[sku]\n",
    ),
    Case(
        "the last job taken twice", "FT102",
        "jobs = [1]\ndef take():\n    if jobs:\n        return jobs.pop()\n    return None\n",
        "import threading\njobs = [1]\nlock = threading.Semaphore(1)\ndef take():\n    with lock:\n        if jobs:\n"
        "            return jobs.pop()\n    return None\n",
    ),
    Case(
        "a class's one instance, double-checked", "FT103",
        "class Pool:\n    _shared = None\n    @classmethod\n    def shared(cls):\n        if cls._shared is None:\n            cls._shared = cls()\n        return cls._shared\n",
        "import threading\nclass Pool:\n    _shared = None\n    _lock = threading.Lock()\n    @classmethod\n    def shared(cls):\n"
        "        if cls._shared is None:\n            with cls._lock:\n                if cls._shared is None:\n                    cls._shared = cls()\n        return cls._shared\n",
    ),
    Case(
        "made between two sleeps, behind acquire and release", "FT103",
        "import time\nconn = None\nclass Conn: pass\ndef get():\n    global conn\n    if conn is None:\n        time.sleep(0.05)\n        conn = Conn()\n    return conn\n",
        "import threading, time\nconn = None\nclass Conn: pass\nlock = threading.Lock()\ndef get():\n    global conn\n    lock.acquire()\n    try:\n"
        "        if conn is None:\n            time.sleep(0.05)\n            conn = Conn()\n        return conn\n    finally:\n        lock.release()\n",
    ),
    Case(
        "a generator for all", "FT104",
        "def numbers():\n    n = 0\n    while True:\n        yield n\n        n += 1\nNUMBERS = numbers()\ndef number():\n    return next(NUMBERS)\n",
        "import threading\ndef numbers():\n    n = 0\n    while True:\n        yield n\n        n += 1\nNUMBERS = numbers()\nlock = threading.Lock()\n"
        "def number():\n    with lock:\n        return next(NUMBERS)\n",
    ),
    Case(
        "a dict in a class's body", "FT105",
        "class Basket:\n    lines = {}\n    def put(self, sku: str):\n        self.lines[sku] = 1\n",
        "class Basket:\n    def __init__(self):\n        self.lines = {}\n    def put(self, sku: str):\n        self.lines[sku] = 1\n",
    ),
    Case(
        "a list as a default", "FT106",
        "def labels(text: str, found=[]):\n    found.append(text)\n    return found\n",
        "def labels(text: str, found=None):\n    found = [] if found is None else found\n    found.append(text)\n    return found\n",
    ),
    Case(
        "a coroutine that looks, waits and stores", "FT102",
        "import asyncio\nclass Rate: pass\nrates = {}\nasync def rate(of: str):\n    if of not in rates:\n        await asyncio.sleep(0)\n        rates[of] = Rate()\n    return rates[of]\n",
        "import asyncio, threading\nclass Rate: pass\nrates = {}\nlock = threading.Lock()\nasync def rate(of: str):\n    await asyncio.sleep(0)\n    with lock:\n"
        "        if of not in rates:\n            rates[of] = Rate()\n        return rates[of]\n",
    ),
]  # fmt: skip
