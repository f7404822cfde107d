"""FT104 to FT107: iterators, class-level containers, defaults and loops over what others change."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.audit_cases import Pair, audit, check_pair, of_rule

ITERATOR_PAIRS = [
    Pair(
        "next on a generator",
        "app.ids",
        "def numbers():\n    n = 0\n    while True:\n        yield n\n        n += 1\n"
        "ids = numbers()\ndef new():\n    return next(ids)\n",
        "import itertools\nids = itertools.count()\ndef new():\n    return next(ids)\n",
        "critical",
    ),
    Pair(
        "next under a lock",
        "app.ids",
        "ids = (n for n in range(100))\ndef new():\n    return next(ids, None)\n",
        "import threading\nlock = threading.Lock()\nids = (n for n in range(100))\n"
        "def new():\n    with lock:\n        return next(ids, None)\n",
        "critical",
    ),
    Pair(
        "for over a module-level iter()",
        "app.rows",
        "rows = iter([1, 2])\ndef work():\n    for row in rows:\n        print(row)\n",
        "rows = [1, 2]\ndef work():\n    for row in iter(rows):\n        print(row)\n",
        "error",
    ),
    Pair(
        "map()",
        "app.rows",
        "rows = map(str, [1])\ndef work():\n    return list(rows)\n",
        "rows = list(map(str, [1]))\ndef work():\n    return list(rows)\n",
        "error",
    ),
    Pair(
        "itertools.cycle",
        "app.hosts",
        "from itertools import cycle\nhosts = cycle(['a', 'b'])\ndef pick():\n    return next(hosts)\n",
        "import threading\nfrom itertools import cycle\n"
        "hosts = threading.serialize_iterator(cycle(['a', 'b']))\ndef pick():\n    return next(hosts)\n",
        "error",
    ),
    Pair(
        "a comprehension",
        "app.rows",
        "rows = iter([1])\ndef work():\n    return [r for r in rows]\n",
        "def work():\n    rows = iter([1])\n    return [r for r in rows]\n",
        "error",
    ),
    Pair(
        "send",
        "app.sink",
        "def collect():\n    while True:\n        x = yield\nsink = collect()\n"
        "def put(x):\n    sink.send(x)\n",
        "def collect():\n    while True:\n        x = yield\n"
        "def put(x):\n    sink = collect()\n    sink.send(x)\n",
        "critical",
    ),
    Pair(
        "of a class",
        "Ticket.numbers",
        "class Ticket:\n    numbers = iter(range(9))\n    def __init__(self):\n"
        "        self.number = next(self.numbers)\n",
        "import itertools\nclass Ticket:\n    numbers = itertools.count()\n    def __init__(self):\n"
        "        self.number = next(self.numbers)\n",
        "error",
    ),
    Pair(
        "of an instance that the module holds",
        "Source._rows",
        "class Source:\n    def __init__(self):\n        self._rows = iter(range(9))\n"
        "    def take(self):\n        return next(self._rows)\nsource = Source()\n",
        "class Source:\n    def __init__(self):\n        self._rows = iter(range(9))\n"
        "    def take(self):\n        return next(self._rows)\n",
        "error",
    ),
    Pair(
        "given to several submits",
        "rows",
        """
        def read(path):
            yield path
        def load(pool, path):
            rows = read(path)
            for _ in range(4):
                pool.submit(consume, rows)
        """,
        """
        def read(path):
            yield path
        def load(pool, paths):
            for path in paths:
                rows = read(path)
                pool.submit(consume, rows)
        """,
        "critical",
    ),
    Pair(
        "given to two threads",
        "rows",
        "from threading import Thread\ndef load():\n    rows = iter([1])\n"
        "    Thread(target=consume, args=(rows,)).start()\n"
        "    Thread(target=consume, args=(rows,)).start()\n",
        "from threading import Thread\ndef load():\n    rows = iter([1])\n"
        "    Thread(target=consume, args=(rows,)).start()\n",
        "error",
    ),
    Pair(
        "of the enclosing function, on many threads",
        "rows",
        """
        def load(pool):
            rows = (n for n in range(9))
            def work():
                for row in rows:
                    print(row)
            for _ in range(3):
                pool.submit(work)
        """,
        """
        def load(pool):
            def work():
                rows = (n for n in range(9))
                for row in rows:
                    print(row)
            for _ in range(3):
                pool.submit(work)
        """,
        "critical",
    ),
    Pair(
        "a context manager is no iterator",
        "app.ids",
        "def ids_():\n    yield 1\nids = ids_()\ndef new():\n    yield from ids\n",
        "from contextlib import contextmanager\n@contextmanager\ndef ids_():\n    yield 1\n"
        "ids = ids_()\ndef new():\n    return list(ids)\n",
        "critical",
    ),
]


@pytest.mark.parametrize("pair", ITERATOR_PAIRS, ids=lambda pair: pair.name)
def test_one_iterator_for_several_threads(tmp_path: Path, pair: Pair) -> None:
    check_pair(tmp_path, "FT104", pair)


CLASS_PAIRS = [
    Pair(
        "items stored",
        "Box.seen",
        "class Box:\n    seen = {}\n    def put(self, k):\n        self.seen[k] = 1\n",
        "class Box:\n    seen = {}\n    def __init__(self):\n        self.seen = {}\n"
        "    def put(self, k):\n        self.seen[k] = 1\n",
        "warning",
    ),
    Pair(
        "one atomic call",
        "Box.seen",
        "class Box:\n    seen = []\n    def put(self, k):\n        self.seen.append(k)\n",
        "class Box:\n    seen = ()\n    def put(self, k):\n        self.seen.index(k)\n",
        "info",
    ),
    Pair(
        "rebound by a subclass only in name",
        "Base.seen",
        "class Base:\n    seen = {}\nclass Box(Base):\n    def put(self, k):\n        del self.seen[k]\n",
        "class Base:\n    seen = {}\n    def __init__(self):\n        self.seen = dict(self.seen)\n"
        "class Box(Base):\n    def put(self, k):\n        del self.seen[k]\n",
        "warning",
    ),
    Pair(
        "under the class's lock",
        "Box.seen",
        "from collections import defaultdict\nclass Box:\n    seen = defaultdict(list)\n"
        "    def put(self, k):\n        self.seen[k].pop()\n",
        "from collections import defaultdict\nimport threading\nclass Box:\n"
        "    seen = defaultdict(list)\n    _lock = threading.Lock()\n    def put(self, k):\n"
        "        with self._lock:\n            self.seen[k].pop()\n",
        "warning",
    ),
    Pair(
        "copied for each instance by its base",
        "Box.seen",
        "class Box:\n    seen: dict = {}\n    def put(self, k):\n        self.seen.update(k)\n",
        "from pydantic import BaseModel\nclass Box(BaseModel):\n    seen: dict = {}\n"
        "    def put(self, k):\n        self.seen.update(k)\n",
        "warning",
    ),
    Pair(
        "only read",
        "Box.seen",
        "class Box:\n    seen = [1]\n    def cut(self):\n        self.seen.pop()\n",
        "class Box:\n    seen = [1]\n    def first(self):\n        return self.seen[0]\n",
        "warning",
    ),
]


@pytest.mark.parametrize("pair", CLASS_PAIRS, ids=lambda pair: pair.name)
def test_a_container_of_the_class_changed_through_self(tmp_path: Path, pair: Pair) -> None:
    check_pair(tmp_path, "FT105", pair)


DEFAULT_PAIRS = [
    Pair(
        "changed",
        "f(acc)",
        "def f(x, acc=[]):\n    acc.append(x)\n",
        "def f(x, acc=()):\n    return [*acc, x]\n",
        "error",
    ),
    Pair(
        "an item stored",
        "f(memo)",
        "def f(x, memo={}):\n    memo[x] = 1\n",
        "def f(x, memo={}):\n    memo = dict(memo)\n    memo[x] = 1\n",
    ),
    Pair(
        "returned",
        "f(acc)",
        "def f(x, acc=[]):\n    return acc\n",
        "def f(x, acc=[]):\n    return list(acc)\n",
    ),
    Pair(
        "kept",
        "Box.__init__(tags)",
        "class Box:\n    def __init__(self, tags=[]):\n        self.tags = tags\n",
        "class Box:\n    def __init__(self, tags=[]):\n        self.tags = list(tags)\n",
    ),
    Pair(
        "keyword-only, and made by a call",
        "f(acc)",
        "def f(x, *, acc=dict()):\n    acc.update(x)\n",
        "def f(x, *, acc=None):\n    acc = acc or {}\n    acc.update(x)\n",
    ),
    Pair(
        "changed by +=",
        "f(acc)",
        "def f(x, acc=[]):\n    acc += [x]\n    print(acc)\n",
        "def f(x, acc=0):\n    acc += x\n    print(acc)\n",
    ),
    Pair(
        "under a lock",
        "f(memo)",
        "def f(x, memo={}):\n    if x not in memo:\n        memo[x] = 1\n",
        "import threading\nlock = threading.Lock()\ndef f(x, memo={}):\n    with lock:\n"
        "        if x not in memo:\n            memo[x] = 1\n",
    ),
    Pair(
        "only read",
        "f(names)",
        "def f(x, names={}):\n    names.pop(x)\n",
        "def f(x, names={}):\n    return names.get(x)\n",
    ),
]


@pytest.mark.parametrize("pair", DEFAULT_PAIRS, ids=lambda pair: pair.name)
def test_a_default_that_leaks(tmp_path: Path, pair: Pair) -> None:
    check_pair(tmp_path, "FT106", pair)


LOOP_PAIRS = [
    Pair(
        "items of a dict",
        "app.table",
        "table = {}\ndef put(k):\n    table[k] = 1\ndef show():\n    for k, v in table.items():\n"
        "        print(k, v)\n",
        "table = {}\ndef put(k):\n    table[k] = 1\ndef show():\n"
        "    for k, v in list(table.items()):\n        print(k, v)\n",
        "warning",
    ),
    Pair(
        "a comprehension",
        "app.hooks",
        "hooks = []\ndef add(h):\n    hooks.append(h)\ndef run():\n    return [h() for h in hooks]\n",
        "hooks = ()\ndef add(h):\n    global hooks\n    hooks = (*hooks, h)\n"
        "def run():\n    return [h() for h in hooks]\n",
        "warning",
    ),
    Pair(
        "under the lock of those who change it",
        "app.hooks",
        "hooks = set()\ndef add(h):\n    hooks.add(h)\ndef run():\n    for h in hooks:\n        h()\n",
        "import threading\nlock = threading.Lock()\nhooks = set()\ndef add(h):\n    with lock:\n"
        "        hooks.add(h)\ndef run():\n    with lock:\n        for h in hooks:\n            h()\n",
        "warning",
    ),
    Pair(
        "changed while modules are imported only",
        "app.hooks",
        "hooks = []\ndef add(h):\n    hooks.append(h)\ndef run():\n    for h in hooks:\n        h()\n",
        "hooks = []\ndef _add(h):\n    hooks.append(h)\n_add(print)\ndef run():\n"
        "    for h in hooks:\n        h()\n",
        "warning",
    ),
    Pair(
        "a defaultdict that is looked up",
        "app.groups",
        "from collections import defaultdict\ngroups = defaultdict(list)\ndef put(k, x):\n"
        "    groups[k].append(x)\ndef show():\n    for k in groups:\n        print(k)\n",
        "groups = {'a': []}\ndef put(k, x):\n    groups[k].append(x)\ndef show():\n"
        "    for k in groups:\n        print(k)\n",
        "warning",
    ),
    Pair(
        "a copy taken by .copy()",
        "app.hooks",
        "hooks = []\ndef drop():\n    hooks.clear()\ndef run():\n    for h in hooks:\n        h()\n",
        "hooks = []\ndef drop():\n    hooks.clear()\ndef run():\n    for h in hooks.copy():\n"
        "        h()\n",
        "warning",
    ),
]


@pytest.mark.parametrize("pair", LOOP_PAIRS, ids=lambda pair: pair.name)
def test_a_loop_over_what_others_change(tmp_path: Path, pair: Pair) -> None:
    check_pair(tmp_path, "FT107", pair)


def test_a_lambda_gives_its_default_away(tmp_path: Path) -> None:
    [finding] = of_rule(audit(tmp_path, "f = lambda x, acc=[]: acc\n"), "FT106")
    assert finding.level == "error"
