"""FT102 and FT103: checks that are acted on, their tiers, and their locked twins."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.audit_cases import Pair, audit, check_pair, of_rule

LOCK = "import threading\nlock = threading.Lock()\n"
CACHE = "cache = {}\nclass Client: pass\n"

CONTAINER_PAIRS = [
    Pair(
        "not in, a new instance",
        "app.cache",
        CACHE
        + "def get(k):\n    if k not in cache:\n        cache[k] = Client()\n    return cache[k]\n",
        CACHE
        + LOCK
        + "def get(k):\n    with lock:\n        if k not in cache:\n            cache[k] = Client()\n"
        "        return cache[k]\n",
        "warning",
    ),
    Pair(
        "not in, the caller gets its own",
        "app.cache",
        """
        cache = {}
        def get(k):
            if k not in cache:
                value = compute(k)
                cache[k] = value
                return value
            return cache[k]
        """,
        """
        cache = {}
        def get(k):
            if k not in cache:
                value = compute(k)
                return cache.setdefault(k, value)
            return cache[k]
        """,
        "warning",
    ),
    Pair(
        "not in, the result equal",
        "app.cache",
        """
        cache = {}
        def get(k):
            if k not in cache:
                cache[k] = compute(k)
            return cache[k]
        """,
        """
        def get(k):
            cache = {}
            if k not in cache:
                cache[k] = compute(k)
            return cache[k]
        """,
        "info",
    ),
    Pair(
        "not in, and the work has effects",
        "app.cache",
        """
        cache = {}
        def load(k):
            db.execute(k)
            return k
        def get(k):
            if k not in cache:
                cache[k] = load(k)
            return cache[k]
        """,
        None,
        "warning",
    ),
    Pair(
        "in, with an early return",
        "app.cache",
        CACHE
        + "def get(k):\n    if k in cache:\n        return cache[k]\n    cache[k] = Client()\n"
        "    return cache[k]\n",
        CACHE + "def get(k):\n    if k in cache:\n        return cache[k]\n    return Client()\n",
        "warning",
    ),
    Pair(
        "in, else",
        "app.cache",
        CACHE
        + "def get(k):\n    if k in cache:\n        pass\n    else:\n        cache[k] = Client()\n",
        CACHE + "def get(k):\n    if k in cache:\n        cache[k].touch()\n",
        "warning",
    ),
    Pair(
        "get is None",
        "app.cache",
        CACHE
        + "def get(k):\n    c = cache.get(k)\n    if c is None:\n        c = cache[k] = Client()\n"
        "    return c\n",
        CACHE + "def get(k):\n    c = cache.get(k)\n    if c is None:\n"
        "        c = cache.setdefault(k, Client())\n    return c\n",
        "warning",
    ),
    Pair(
        "not get",
        "app.cache",
        CACHE + "def get(k):\n    if not cache.get(k):\n        cache[k] = Client()\n",
        CACHE + "def get(k, cache):\n    if not cache.get(k):\n        cache[k] = Client()\n",
    ),
    Pair(
        "walrus",
        "app.cache",
        CACHE
        + "def get(k):\n    if (c := cache.get(k)) is None:\n        cache[k] = c = Client()\n"
        "    return c\n",
        CACHE + LOCK + "def get(k):\n    with lock:\n        if (c := cache.get(k)) is None:\n"
        "            cache[k] = c = Client()\n    return c\n",
        "warning",
    ),
    Pair(
        "a sentinel",
        "app.cache",
        CACHE + "_MISSING = object()\ndef get(k):\n    c = cache.get(k, _MISSING)\n"
        "    if c is _MISSING:\n        cache[k] = Client()\n",
        None,
    ),
    Pair(
        "except KeyError",
        "app.cache",
        CACHE + "def get(k):\n    try:\n        return cache[k]\n    except KeyError:\n"
        "        cache[k] = Client()\n        return cache[k]\n",
        CACHE + "def get(k):\n    try:\n        return cache[k]\n    except KeyError:\n"
        "        return Client()\n",
        "warning",
    ),
    Pair(
        "except KeyError: pass, stored behind it",
        "app.cache",
        CACHE
        + "def get(k):\n    try:\n        return cache[k]\n    except KeyError:\n        pass\n"
        "    cache[k] = c = Client()\n    return c\n",
        CACHE + LOCK + "def get(k):\n    with lock:\n        try:\n            return cache[k]\n"
        "        except KeyError:\n            pass\n        cache[k] = c = Client()\n        return c\n",
        "warning",
    ),
    Pair(
        "match",
        "app.cache",
        CACHE + "def get(k):\n    match cache.get(k):\n        case None:\n"
        "            cache[k] = Client()\n        case found:\n            return found\n",
        CACHE
        + LOCK
        + "def get(k):\n    with lock:\n        match cache.get(k):\n            case None:\n"
        "                cache[k] = Client()\n",
    ),
    Pair(
        "locks made on demand",
        "app.locks",
        """
        import threading
        locks = {}
        def lock_for(k):
            if k not in locks:
                locks[k] = threading.Lock()
            return locks[k]
        """,
        """
        import threading
        locks = {}
        def lock_for(k):
            return locks.setdefault(k, threading.Lock())
        """,
        "warning",
    ),
    Pair(
        "a new list, then filled",
        "app.groups",
        "groups = {}\ndef put(k, x):\n    if k not in groups:\n        groups[k] = []\n"
        "    groups[k].append(x)\n",
        "groups = {}\ndef put(k, x):\n    groups.setdefault(k, []).append(x)\n",
        "warning",
    ),
    Pair(
        "asked before the lock, not under it",
        "app.cache",
        CACHE
        + LOCK
        + "def get(k):\n    if k not in cache:\n        with lock:\n            cache[k] = Client()\n"
        "    return cache[k]\n",
        CACHE
        + LOCK
        + "def get(k):\n    if k not in cache:\n        with lock:\n            if k not in cache:\n"
        "                cache[k] = Client()\n    return cache[k]\n",
        "warning",
    ),
    Pair(
        "asked under the lock, stored under it again",
        "app.cache",
        CACHE + LOCK + "def get(k):\n    with lock:\n        c = cache.get(k)\n    if c is None:\n"
        "        with lock:\n            cache[k] = c = Client()\n    return c\n",
        CACHE + LOCK + "def get(k):\n    with lock:\n        c = cache.get(k)\n    if c is None:\n"
        "        new = Client()\n        with lock:\n            c = cache.setdefault(k, new)\n"
        "    return c\n",
        "warning",
    ),
    Pair(
        "looked up under the lock, compared under it again",
        "app.cache",
        CACHE
        + LOCK
        + "def get(k):\n    with lock:\n        c = cache.get(k)\n    with lock:\n        if c is None:\n"
        "            cache[k] = c = Client()\n    return c\n",
        CACHE + LOCK + "def get(k):\n    c = cache.get(k)\n    if c is None:\n        with lock:\n"
        "            c = cache.get(k)\n            if c is None:\n                cache[k] = c = Client()\n"
        "    return c\n",
        "warning",
    ),
    Pair(
        "a key that names the thread",
        "app.running",
        "running = set()\ndef show(x):\n    key = id(x)\n    if key in running:\n"
        "        return '...'\n    running.add(key)\n    return str(x)\n",
        "from threading import get_ident\nrunning = set()\ndef show(x):\n"
        "    key = id(x), get_ident()\n    if key in running:\n        return '...'\n"
        "    running.add(key)\n    return str(x)\n",
        "warning",
    ),
    Pair(
        "in, then del",
        "app.cache",
        CACHE + "def drop(k):\n    if k in cache:\n        del cache[k]\n",
        CACHE + "def drop(k):\n    if k in cache:\n        cache.pop(k, None)\n",
        "warning",
    ),
    Pair(
        "truth, then pop",
        "app.jobs",
        "jobs = []\ndef take():\n    if jobs:\n        return jobs.pop()\n",
        "jobs = []\ndef take():\n    try:\n        return jobs.pop()\n    except IndexError:\n"
        "        return None\n",
        "warning",
    ),
    Pair(
        "while there are some",
        "app.jobs",
        "from collections import deque\njobs = deque()\ndef take():\n    while jobs:\n"
        "        yield jobs.popleft()\n",
        "import queue\njobs = queue.Queue()\ndef take():\n    while not jobs.empty():\n"
        "        yield jobs.get()\n",
        "warning",
    ),
    Pair(
        "a conditional expression",
        "app.jobs",
        "jobs = []\ndef take():\n    return jobs.pop() if jobs else None\n",
        "jobs = []\ndef take():\n    return jobs[:1] if jobs else None\n",
        "warning",
    ),
    Pair(
        "and",
        "app.jobs",
        "jobs = []\ndef take():\n    return jobs and jobs.pop()\n",
        "jobs = {}\ndef take(k):\n    return jobs and jobs.pop(k, None)\n",
        "warning",
    ),
    Pair(
        "or",
        "app.names",
        "names = []\ndef note(k):\n    k in names or names.append(k)\n",
        "names = set()\ndef note(k):\n    k in names or names.add(k)\n",
        "warning",
    ),
    Pair(
        "full",
        "app.jobs",
        "jobs = []\ndef put(j):\n    while len(jobs) > 1:\n        jobs.pop(0)\n",
        "jobs = {}\ndef put(j):\n    if len(jobs) >= 10:\n        return\n    jobs[j] = object()\n",
        "warning",
    ),
    Pair(
        "a default that is the module's cache",
        "app.cache",
        CACHE + "def get(k, known=cache):\n    if k not in known:\n        known[k] = Client()\n",
        CACHE + "def get(k, known=None):\n    if k not in known:\n        known[k] = Client()\n",
        "warning",
    ),
    Pair(
        "len, then pop",
        "app.jobs",
        "jobs = []\ndef take():\n    if len(jobs) > 0:\n        return jobs.pop(0)\n",
        "def take():\n    jobs = []\n    if len(jobs) > 0:\n        return jobs.pop(0)\n",
        "warning",
    ),
    Pair(
        "bounded by its size",
        "app.cache",
        "cache = {}\ndef trim():\n    if len(cache) > 100:\n        cache.popitem()\n",
        "cache = {}\ndef trim():\n    if len(cache) > 100:\n        cache.clear()\n",
        "info",
    ),
    Pair(
        "once only",
        "app.seen",
        "seen = set()\ndef once(k):\n    if k in seen:\n        return\n    seen.add(k)\n    send(k)\n",
        "seen = set()\ndef note(k):\n    if k not in seen:\n        seen.add(k)\n",
        "warning",
    ),
    Pair(
        "no duplicates in a list",
        "app.names",
        "names = []\ndef note(k):\n    if k not in names:\n        names.append(k)\n",
        "names = set()\ndef note(k):\n    names.add(k)\n",
        "warning",
    ),
    Pair(
        "filled entry by entry when empty",
        "app.table",
        "table = {}\ndef load():\n    if not table:\n        for k, v in rows():\n"
        "            table[k] = v\n    return table\n",
        LOCK + "table = {}\ndef load():\n    with lock:\n        if not table:\n"
        "            for k, v in rows():\n                table[k] = v\n    return table\n",
        "warning",
    ),
    Pair(
        "across an await",
        "app.cache",
        CACHE + "async def get(k):\n    if k not in cache:\n        await ready()\n"
        "        cache[k] = Client()\n    return cache[k]\n",
        "import asyncio\nguard = asyncio.Lock()\n"
        + CACHE
        + "async def get(k):\n    async with guard:\n        if k not in cache:\n"
        "            await ready()\n            cache[k] = Client()\n    return cache[k]\n",
        "warning",
    ),
    Pair(
        "on an instance that the module holds",
        "Pools.open",
        """
        class Pools:
            def __init__(self):
                self.open = {}
            def get(self, k):
                if k not in self.open:
                    self.open[k] = connect(k)
                return self.open[k]
        pools = Pools()
        """,
        """
        class Pools:
            def __init__(self):
                self.open = {}
            def get(self, k):
                if k not in self.open:
                    self.open[k] = connect(k)
                return self.open[k]
        """,
        "warning",
    ),
    Pair(
        "one condition among several",
        "app.cache",
        CACHE
        + "def get(k, fresh):\n    if fresh or k not in cache:\n        cache[k] = Client()\n",
        CACHE + "def get(k, fresh):\n    if fresh:\n        cache[k] = Client()\n",
    ),
]


@pytest.mark.parametrize("pair", CONTAINER_PAIRS, ids=lambda pair: pair.name)
def test_a_container_checked_then_changed(tmp_path: Path, pair: Pair) -> None:
    check_pair(tmp_path, "FT102", pair)


ONE = "_one = None\nclass Client: pass\n"

LAZY_PAIRS = [
    Pair(
        "is None, a new instance",
        "app._one",
        ONE
        + "def get():\n    global _one\n    if _one is None:\n        _one = Client()\n    return _one\n",
        ONE + LOCK + "def get():\n    global _one\n    with lock:\n        if _one is None:\n"
        "            _one = Client()\n    return _one\n",
        "warning",
    ),
    Pair(
        "not X",
        "app._one",
        ONE
        + "def get():\n    global _one\n    if not _one:\n        _one = Client()\n    return _one\n",
        ONE
        + "def get():\n    _one = None\n    if not _one:\n        _one = Client()\n    return _one\n",
        "warning",
    ),
    Pair(
        "early return",
        "app._one",
        ONE + "def get():\n    global _one\n    if _one is not None:\n        return _one\n"
        "    _one = Client()\n    return _one\n",
        ONE + LOCK + "def get():\n    global _one\n    with lock:\n        if _one is not None:\n"
        "            return _one\n        _one = Client()\n        return _one\n",
        "warning",
    ),
    Pair(
        "or",
        "app._one",
        ONE + "def get():\n    global _one\n    _one = _one or Client()\n    return _one\n",
        ONE + "def get(given):\n    one = given or Client()\n    return one\n",
        "warning",
    ),
    Pair(
        "conditional expression",
        "app._one",
        ONE + "def get():\n    global _one\n    _one = Client() if _one is None else _one\n",
        ONE + LOCK + "def get():\n    global _one\n    with lock:\n"
        "        _one = Client() if _one is None else _one\n",
        "warning",
    ),
    Pair(
        "double-checked, once too few",
        "app._one",
        ONE + LOCK + "def get():\n    global _one\n    if _one is None:\n        with lock:\n"
        "            _one = Client()\n    return _one\n",
        ONE + LOCK + "def get():\n    global _one\n    if _one is None:\n        with lock:\n"
        "            if _one is None:\n                _one = Client()\n    return _one\n",
        "warning",
    ),
    Pair(
        "a lock that nobody else has",
        "app._one",
        ONE + "import threading\ndef get():\n    global _one\n    lock = threading.Lock()\n"
        "    with lock:\n        if _one is None:\n            _one = Client()\n    return _one\n",
        None,
        "warning",
    ),
    Pair(
        "a singleton in __new__",
        "Single._it",
        """
        class Single:
            _it = None
            def __new__(cls):
                if cls._it is None:
                    cls._it = super().__new__(cls)
                return cls._it
        """,
        """
        import threading
        class Single:
            _it = None
            _lock = threading.Lock()
            def __new__(cls):
                if cls._it is None:
                    with cls._lock:
                        if cls._it is None:
                            cls._it = super().__new__(cls)
                return cls._it
        """,
        "warning",
    ),
    Pair(
        "hasattr(cls)",
        "Single.it",
        "class Single:\n    @classmethod\n    def get(cls):\n        if not hasattr(cls, 'it'):\n"
        "            cls.it = cls()\n        return cls.it\n",
        "class Single:\n    def get(self):\n        if not hasattr(self, 'it'):\n"
        "            self.it = object()\n        return self.it\n",
        "warning",
    ),
    Pair(
        "except AttributeError",
        "Single.it",
        "class Single:\n    @classmethod\n    def get(cls):\n        try:\n            return cls.it\n"
        "        except AttributeError:\n            cls.it = cls()\n            return cls.it\n",
        None,
        "warning",
    ),
    Pair(
        "through the module",
        "state.client",
        "import state\nclass C: pass\n",
        None,
    ),
    Pair(
        "on an instance that the module holds",
        "Db._conn",
        """
        class Db:
            def __init__(self):
                self._conn = None
            def conn(self):
                if self._conn is None:
                    self._conn = connect()
                return self._conn
        db = Db()
        """,
        """
        class Db:
            def __init__(self):
                self._conn = None
            def conn(self):
                if self._conn is None:
                    self._conn = connect()
                return self._conn
        def use():
            return Db().conn()
        """,
        "warning",
    ),
    Pair(
        "a pure value",
        "app._limit",
        "_limit = None\ndef get(n):\n    global _limit\n    if _limit is None:\n        _limit = 2 ** 8\n"
        "    return _limit\n",
        "_limit = None\ndef get(n):\n    if _limit is None:\n        return 2 ** 8\n    return _limit\n",
        "info",
    ),
    Pair(
        "what a function of the project makes",
        "app._one",
        "class Client: pass\ndef fresh():\n    return Client()\n_one = None\ndef get():\n"
        "    global _one\n    if _one is None:\n        _one = fresh()\n    return _one\n",
        None,
        "warning",
    ),
    Pair(
        "a flag, and work behind it",
        "app._ready",
        "_ready = False\ndef setup():\n    global _ready\n    if _ready:\n        return\n"
        "    install()\n    _ready = True\n",
        "_ready = False\ndef setup():\n    global _ready\n    _ready = True\n",
        "warning",
    ),
    Pair(
        "a warning said once",
        "app._said",
        "_said = False\ndef say(log):\n    global _said\n    if not _said:\n        log.warning('x')\n"
        "        _said = True\n",
        None,
        "info",
    ),
]


@pytest.mark.parametrize("pair", LAZY_PAIRS, ids=lambda pair: pair.name)
def test_made_on_first_use(tmp_path: Path, pair: Pair) -> None:
    if pair.name == "through the module":
        files = {
            "state.py": "client = None\n",
            "app.py": "import state\nclass C: pass\ndef get():\n    if state.client is None:\n"
            "        state.client = C()\n    return state.client\n",
        }
        [finding] = of_rule(audit(tmp_path, files), "FT103")
        assert (finding.object, finding.level) == ("state.client", "warning")
    else:
        check_pair(tmp_path, "FT103", pair)


def test_forgetting_is_no_first_use(tmp_path: Path) -> None:
    source = ONE + "def reset():\n    global _one\n    if _one is not None:\n        _one = None\n"
    assert of_rule(audit(tmp_path, source), "FT103") == []


@pytest.mark.parametrize(
    ("between", "words"),
    [("await ready()", "do it to each other"), ("prepare()", "needs a second thread or loop")],
)
def test_coroutines_take_turns_at_awaits(tmp_path: Path, between: str, words: str) -> None:
    source = CACHE + (
        f"async def get(k):\n    await first()\n    if k not in cache:\n        {between}\n"
        "        cache[k] = Client()\n    return cache[k]\n"
    )
    [finding] = of_rule(audit(tmp_path, source), "FT102")
    assert words in finding.message
