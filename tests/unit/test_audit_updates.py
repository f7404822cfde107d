"""FT101: updates that are not one step, and their locked twins."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.audit_cases import Pair, audit, check_pair, of_rule

PAIRS = [
    Pair(
        "global augmented",
        "app.total",
        "total = 0\ndef add(n):\n    global total\n    total += n\n",
        "total = 0\ndef add(n):\n    total = 0\n    total += n\n    return total\n",
        "error",
    ),
    Pair(
        "global read and rebound",
        "app.total",
        "total = 0\ndef add(n):\n    global total\n    total = total + n\n",
        "total = 0\ndef put(n):\n    global total\n    total = n + 1\n",
    ),
    Pair(
        "two steps through a local",
        "app.total",
        """
        total = 0
        def add(n):
            global total
            now = total
            total = now + n
        """,
        """
        import threading
        guard = threading.Lock()
        total = 0
        def add(n):
            global total
            with guard:
                now = total
                total = now + n
        """,
    ),
    Pair(
        "read under the lock, written under it again",
        "app.total",
        """
        import threading
        guard = threading.Lock()
        total = 0
        def add(n):
            global total
            with guard:
                now = total
            with guard:
                total = now + n
        """,
        None,
    ),
    Pair(
        "item of a dict",
        "app.hits",
        "hits = {}\ndef hit(k):\n    hits[k] += 1\n",
        "def hit(k):\n    hits = {}\n    hits[k] += 1\n    return hits\n",
    ),
    Pair(
        "a key that names the thread",
        "app.hits",
        "import threading\nhits = {}\ndef hit(k):\n    key = (k, threading.active_count())\n"
        "    hits[key] += 1\n",
        "import threading\nhits = {}\ndef hit(k):\n    key = (k, threading.get_ident())\n"
        "    hits[key] += 1\n",
    ),
    Pair(
        "item through get",
        "app.hits",
        "hits = {}\ndef hit(k):\n    hits[k] = hits.get(k, 0) + 1\n",
        "hits = {}\ndef hit(k, other):\n    hits[k] = other.get(k, 0) + 1\n",
    ),
    Pair(
        "item, read and stored in two statements",
        "app.hits",
        "hits = {}\ndef hit(k):\n    n = hits.get(k, 0)\n    hits[k] = n + 1\n",
        "hits = {}\ndef hit(k):\n    n = hits.get(k, 0)\n    hits[k, 'last'] = 1\n    return n + 1\n",
    ),
    Pair(
        "item of an item",
        "app.hits",
        "hits = {'a': {}}\ndef hit(k):\n    hits['a'][k] += 1\n",
        "hits = {'a': {}}\ndef hit(k, hits):\n    hits['a'][k] += 1\n",
    ),
    Pair(
        "alias of the container",
        "app.hits",
        "hits = {}\ndef hit(k):\n    h = hits\n    h[k] += 1\n",
        "hits = {}\ndef hit(k):\n    h = dict(hits)\n    h[k] += 1\n    return h\n",
    ),
    Pair(
        "entry fetched, then changed",
        "app.stats",
        "stats = {}\ndef hit(k):\n    entry = stats.setdefault(k, {'n': 0})\n    entry['n'] += 1\n",
        "stats = {}\ndef hit(k):\n    entry = {'n': 0}\n    entry['n'] += 1\n    stats[k] = entry\n",
    ),
    Pair(
        "through globals()",
        "app.total",
        "total = 0\ndef add(n):\n    globals()['total'] += n\n",
        "total = 0\ndef add(n, space):\n    space['total'] += n\n",
    ),
    Pair(
        "class attribute through cls",
        "Box.made",
        "class Box:\n    made = 0\n    @classmethod\n    def make(cls):\n        cls.made += 1\n",
        "class Box:\n    made = 0\n    def make(self):\n        self.made += 1\n",
    ),
    Pair(
        "class attribute through the class's name",
        "Box.made",
        "class Box:\n    made = 0\n    def __init__(self):\n        Box.made += 1\n",
        "class Box:\n    made = 0\n    def __init__(self):\n        self.made = Box.made + 1\n",
    ),
    Pair(
        "class attribute through type(self)",
        "Box.made",
        "class Box:\n    made = 0\n    def __init__(self):\n        type(self).made += 1\n",
        """
        import threading
        class Box:
            made = 0
            _lock = threading.Lock()
            def __init__(self):
                with self._lock:
                    type(self).made += 1
        """,
    ),
    Pair(
        "class attribute of an ancestor",
        "Base.made",
        """
        class Base:
            made = 0
        class Box(Base):
            @classmethod
            def make(cls):
                cls.made += 1
        """,
        None,
    ),
    Pair(
        "attribute of an instance that the module holds",
        "Meter.count",
        """
        class Meter:
            def __init__(self):
                self.count = 0
            def hit(self):
                self.count += 1
        meter = Meter()
        """,
        """
        class Meter:
            def __init__(self):
                self.count = 0
            def hit(self):
                self.count += 1
        def measure():
            meter = Meter()
            meter.hit()
            return meter
        """,
    ),
    Pair(
        "the same, from outside",
        "Meter.count",
        """
        class Meter:
            def __init__(self):
                self.count = 0
        meter = Meter()
        def hit():
            meter.count += 1
        """,
        """
        import threading
        class Meter(threading.local):
            def __init__(self):
                self.count = 0
        meter = Meter()
        def hit():
            meter.count += 1
        """,
    ),
    Pair(
        "an instance that a function makes the module's",
        "Meter.count",
        """
        class Meter:
            def __init__(self):
                self.count = 0
            def hit(self):
                self.count += 1
        _meter = None
        def start():
            global _meter
            _meter = Meter()
        """,
        None,
    ),
    Pair(
        "changed by a method that only the constructor calls",
        "Meter.count",
        """
        class Meter:
            def __init__(self):
                self.count = 0
                self._fill()
            def _fill(self):
                self.total = 0
                self.total += 1
            def hit(self):
                self.count += 1
        meter = Meter()
        """,
        None,
    ),
    Pair(
        "nonlocal of a function on many threads",
        "total",
        """
        import threading
        def count(paths):
            total = 0
            def work(path):
                nonlocal total
                total += len(path)
            threads = [threading.Thread(target=work, args=(p,)) for p in paths]
            for thread in threads:
                thread.start()
            return total
        """,
        """
        def count(paths):
            total = 0
            def work(path):
                nonlocal total
                total += len(path)
            for path in paths:
                work(path)
            return total
        """,
    ),
    Pair(
        "dict of the enclosing function on an executor",
        "sizes",
        """
        from concurrent.futures import ThreadPoolExecutor
        def count(paths):
            sizes = {"all": 0}
            def work(path):
                sizes["all"] += len(path)
            with ThreadPoolExecutor() as pool:
                list(pool.map(work, paths))
            return sizes
        """,
        """
        from concurrent.futures import ThreadPoolExecutor
        from threading import Lock
        def count(paths):
            sizes = {"all": 0}
            lock = Lock()
            def work(path):
                with lock:
                    sizes["all"] += len(path)
            with ThreadPoolExecutor() as pool:
                list(pool.map(work, paths))
            return sizes
        """,
    ),
    Pair(
        "processes have memory of their own",
        "sizes",
        """
        from concurrent.futures import ThreadPoolExecutor
        def count(paths):
            sizes = {"all": 0}
            def work(path):
                sizes["all"] += len(path)
            with ThreadPoolExecutor() as pool:
                for path in paths:
                    pool.submit(work, path)
        """,
        """
        from concurrent.futures import ProcessPoolExecutor
        def count(paths):
            sizes = {"all": 0}
            def work(path):
                sizes["all"] += len(path)
            with ProcessPoolExecutor() as pool:
                for path in paths:
                    pool.submit(work, path)
        """,
    ),
    Pair(
        "methods that the class itself puts on threads",
        "Crawler.seen",
        """
        import threading
        class Crawler:
            def __init__(self):
                self.seen = 0
            def run(self):
                for _ in range(4):
                    threading.Thread(target=self._work).start()
            def _work(self):
                self.seen += 1
        """,
        """
        import threading
        class Crawler:
            def __init__(self):
                self.seen = 0
                self._lock = threading.Lock()
            def run(self):
                for _ in range(4):
                    threading.Thread(target=self._work).start()
            def _work(self):
                with self._lock:
                    self.seen += 1
        """,
    ),
    Pair(
        "Counter.update",
        "app.words",
        "from collections import Counter\nwords = Counter()\ndef add(ws):\n    words.update(ws)\n",
        "words = {}\ndef add(ws):\n    words.update(ws)\n",
    ),
    Pair(
        "copied, changed, bound again",
        "app.routes",
        "routes = {}\ndef add(k, v):\n    global routes\n    routes = {**routes, k: v}\n",
        "routes = {}\ndef put(k, v):\n    global routes\n    routes = {k: v}\n",
    ),
    Pair(
        "walrus on a global",
        "app.total",
        "total = 0\ndef add():\n    global total\n    return (total := total + 1)\n",
        "def add(total):\n    return (total := total + 1)\n",
    ),
    Pair(
        "in a loop that waits for nothing",
        "app.total",
        "total = 0\nasync def add():\n    global total\n    total += 1\n",
        None,
        "warning",
    ),
    Pair(
        "list += list changes in place",
        "app.version",
        "version = ()\ndef add(x):\n    global version\n    version += (x,)\n",
        "version = []\ndef add(x):\n    global version\n    version += [x]\n",
    ),
]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_an_update_and_its_twin(tmp_path: Path, pair: Pair) -> None:
    check_pair(tmp_path, "FT101", pair)


PROJECT = {
    "shop/__init__.py": "",
    "shop/state.py": "counter = 0\nhits = {}\n",
}


@pytest.mark.parametrize(
    ("worker", "found"),
    [
        ("from shop import state\ndef f():\n    state.counter += 1\n", "shop.state.counter"),
        ("from . import state\ndef f():\n    state.counter += 1\n", "shop.state.counter"),
        ("import shop.state\ndef f():\n    shop.state.counter += 1\n", "shop.state.counter"),
        ("import shop.state as s\ndef f():\n    s.counter += 1\n", "shop.state.counter"),
        ("from shop.state import hits\ndef f(k):\n    hits[k] += 1\n", "shop.state.hits"),
        ("from .state import hits as h\ndef f(k):\n    h[k] += 1\n", "shop.state.hits"),
        ("def f(k):\n    from .state import hits\n    hits[k] += 1\n", "shop.state.hits"),
        ("from shop.state import *\ndef f(k):\n    hits[k] += 1\n", "shop.state.hits"),
        ("from elsewhere import hits\ndef f(k):\n    hits[k] += 1\n", None),
        ("from .state import hits\ndef f(k, hits):\n    hits[k] += 1\n", None),
    ],
)
def test_shared_state_is_followed_through_imports(
    tmp_path: Path, worker: str, found: str | None
) -> None:
    report = audit(tmp_path, {**PROJECT, "shop/worker.py": worker})
    assert [f.object for f in report.findings] == ([] if found is None else [found])


def test_a_namespace_package_is_known_by_its_directory(tmp_path: Path) -> None:
    files = {
        "state.py": "n = 0\n",
        "worker.py": "from shop import state\ndef f():\n    state.n += 1\n",
    }
    assert [f.object for f in audit(tmp_path / "shop", files).findings] == ["state.n"]


def test_one_finding_for_one_object_names_every_place(tmp_path: Path) -> None:
    report = audit(
        tmp_path,
        {
            "a.py": "n = 0\ndef f():\n    global n\n    n += 1\ndef g():\n    global n\n    n += 2\n",
            "b.py": "import a\ndef h():\n    a.n += 3\n",
        },
    )
    [finding] = of_rule(report, "FT101")
    assert (finding.path, finding.line) == ("a.py", 4)
    assert [str(place) for place in finding.also] == ["a.py:7", "b.py:3"]
    assert str(finding.defined) == "a.py:1"


def test_a_place_that_threads_are_seen_to_reach_is_told_first(tmp_path: Path) -> None:
    report = audit(
        tmp_path,
        """
        from lanewise import task
        n = 0
        def f():
            global n
            n += 1
        @task
        def work():
            deeper()
        def deeper():
            global n
            n += 1
        """,
    )
    [finding] = of_rule(report, "FT101")
    assert finding.function == "deeper"
    assert finding.reachable_from == "task work (app.py:8)"
