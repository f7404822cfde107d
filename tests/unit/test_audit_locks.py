"""What counts as protected, and what runs before there are threads."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.audit_cases import audit, of_rule

COUNT = "import threading\nn = 0\n"

PROTECTED = {
    "with a lock of the module": "lk = threading.Lock()\ndef f():\n    global n\n    with lk:\n        n += 1\n",
    "RLock": "lk = threading.RLock()\ndef f():\n    global n\n    with lk:\n        n += 1\n",
    "Condition": "cv = threading.Condition()\ndef f():\n    global n\n    with cv:\n        n += 1\n",
    "Semaphore": "s = threading.Semaphore(1)\ndef f():\n    global n\n    with s:\n        n += 1\n",
    "known by its name": "def f(self):\n    global n\n    with self.write_lock:\n        n += 1\n",
    "a mutex given": "def f(mutex):\n    global n\n    with mutex:\n        n += 1\n",
    "among other managers": "lk = threading.Lock()\ndef f(p):\n    global n\n    with open(p), lk:\n        n += 1\n",
    "a lock by key": "def f(k):\n    global n\n    with LOCKS[k]:\n        n += 1\n",
    "a reader-writer lock": "def f():\n    global n\n    with rw_lock.write():\n        n += 1\n",
    "of self": "class A:\n    def __init__(self):\n        self.door = threading.Lock()\n"
    "    def f(self):\n        global n\n        with self.door:\n            n += 1\n",
    "of the class": "class A:\n    door = threading.Lock()\n    def f(self):\n        global n\n"
    "        with self.door:\n            n += 1\n",
    "of an ancestor": "class B:\n    def __init__(self):\n        self.door = threading.Lock()\n"
    "class A(B):\n    def f(self):\n        global n\n        with self.door:\n            n += 1\n",
    "acquire, try, finally": "lk = threading.Lock()\ndef f():\n    global n\n    lk.acquire()\n    try:\n"
    "        n += 1\n    finally:\n        lk.release()\n",
    "acquire inside try": "lk = threading.Lock()\ndef f():\n    global n\n    try:\n        lk.acquire()\n"
    "        n += 1\n    finally:\n        lk.release()\n",
    "acquire, release": "lk = threading.Lock()\ndef f():\n    global n\n    lk.acquire()\n    n += 1\n"
    "    lk.release()\n",
    "if acquire": "lk = threading.Lock()\ndef f():\n    global n\n    if lk.acquire(timeout=1):\n"
    "        n += 1\n        lk.release()\n",
    "if not acquire, return": "lk = threading.Lock()\ndef f():\n    global n\n"
    "    if not lk.acquire(timeout=1):\n        return\n    n += 1\n    lk.release()\n",
    "an exit stack": "lk = threading.Lock()\ndef f(stack):\n    global n\n    stack.enter_context(lk)\n    n += 1\n",
    "deeper inside": "lk = threading.Lock()\ndef f(xs):\n    global n\n    with lk:\n        for x in xs:\n"
    "            if x:\n                n += 1\n",
    "a decorator by name": "@synchronized\ndef f():\n    global n\n    n += 1\n",
    "a decorator with a lock": "the_lock = threading.Lock()\n@under(the_lock)\ndef f():\n    global n\n    n += 1\n",
    "a decorator of the project": "lk = threading.Lock()\ndef serial(fn):\n    def inner(*a):\n"
    "        with lk:\n            return fn(*a)\n    return inner\n"
    "@serial\ndef f():\n    global n\n    n += 1\n",
    "a private helper": "lk = threading.Lock()\ndef f():\n    with lk:\n        _g()\ndef h():\n    with lk:\n"
    "        _g()\ndef _g():\n    global n\n    n += 1\n",
    "a helper of a helper": "lk = threading.Lock()\ndef f():\n    with lk:\n        _g()\n"
    "def _g():\n    _h()\ndef _h():\n    global n\n    n += 1\n",
    "a private method": "class A:\n    def f(self):\n        with self._lock:\n            self._g()\n"
    "    def _g(self):\n        global n\n        n += 1\n",
    "a method of a private class": "class _Count:\n    def left(self):\n        global n\n        n += 1\n"
    "_count = _Count()\nlk = threading.Lock()\ndef f(line):\n    with lk:\n        _count.left()\n"
    "    return line.left\n",
    "named for it": "def bump_locked():\n    global n\n    n += 1\n",
    "documented": 'def bump():\n    """Count. The caller holds the lock."""\n    global n\n    n += 1\n',
    "a lock of the enclosing call": "def f(pool):\n    k = 0\n    door = threading.Lock()\n    def w():\n"
    "        nonlocal k\n        with door:\n            k += 1\n"
    "    for _ in range(3):\n        pool.submit(w)\n",
    "a class of locks": "class Door:\n    def acquire(self): ...\n    def release(self): ...\n"
    "    def __enter__(self): ...\n    def __exit__(self, *a): ...\ndoor = Door()\n"
    "def f():\n    global n\n    with door:\n        n += 1\n",
    "async with": "import asyncio\nlk = asyncio.Lock()\nasync def f():\n    global n\n    async with lk:\n"
    "        n += 1\n",
}  # fmt: skip

UNPROTECTED = {
    "another context manager": "def f(p):\n    global n\n    with open(p):\n        n += 1\n",
    "a block is no lock": "def f(block):\n    global n\n    with block:\n        n += 1\n",
    "a clock is no lock": "def f(clock):\n    global n\n    with clock:\n        n += 1\n",
    "behind the lock": "lk = threading.Lock()\ndef f():\n    global n\n    with lk:\n        pass\n    n += 1\n",
    "after release": "lk = threading.Lock()\ndef f():\n    global n\n    lk.acquire()\n    lk.release()\n"
    "    n += 1\n",
    "before acquire": "lk = threading.Lock()\ndef f():\n    global n\n    n += 1\n    lk.acquire()\n"
    "    lk.release()\n",
    "after try, finally": "lk = threading.Lock()\ndef f():\n    global n\n    lk.acquire()\n    try:\n"
    "        pass\n    finally:\n        lk.release()\n    n += 1\n",
    "a lock made by the call": "def f():\n    global n\n    with threading.Lock():\n        n += 1\n",
    "a lock made in the call": "def f():\n    global n\n    lock = threading.Lock()\n    with lock:\n"
    "        n += 1\n",
    "a helper, once without": "lk = threading.Lock()\ndef f():\n    with lk:\n        _g()\ndef h():\n    _g()\n"
    "def _g():\n    global n\n    n += 1\n",
    "a helper given away": "lk = threading.Lock()\ndef f(pool):\n    with lk:\n        _g()\n"
    "    pool.submit(_g)\ndef _g():\n    global n\n    n += 1\n",
    "a public helper": "lk = threading.Lock()\ndef f():\n    with lk:\n        g()\ndef g():\n    global n\n"
    "    n += 1\n",
    "defined under a lock": "lk = threading.Lock()\ndef f():\n    with lk:\n        def g():\n"
    "            global n\n            n += 1\n        return g\n",
    "another decorator": "@cached\ndef f():\n    global n\n    n += 1\n",
    "a decorator that only has a lock": "lk = threading.Lock()\ndef loose(fn):\n    def inner(*a):\n"
    "        with lk:\n            pass\n        return fn(*a)\n    return inner\n"
    "@loose\ndef f():\n    global n\n    n += 1\n",
    "tried, not taken": "lk = threading.Lock()\ndef f():\n    global n\n    if lk.locked():\n        n += 1\n",
}  # fmt: skip


@pytest.mark.parametrize("name", PROTECTED)
def test_protected(tmp_path: Path, name: str) -> None:
    report = audit(tmp_path, COUNT + PROTECTED[name])
    assert report.findings == ()


@pytest.mark.parametrize("name", UNPROTECTED)
def test_not_protected(tmp_path: Path, name: str) -> None:
    report = audit(tmp_path, COUNT + UNPROTECTED[name])
    assert [f.object for f in of_rule(report, "FT101")] == ["app.n"]


BEFORE_THREADS = {
    "a decorator that registers": "def register(fn):\n    global n\n    n += 1\n    return fn\n",
    "called at import only": "def _load():\n    global n\n    n += 1\n_load()\n",
    "helpers of it too": "def _load():\n    _one()\ndef _one():\n    global n\n    n += 1\n_load()\n",
    "main()": "def main():\n    global n\n    n += 1\n",
    "what only main() calls": "def main():\n    step()\ndef step():\n    global n\n    n += 1\n",
    "a command": "@click.command()\ndef go():\n    global n\n    n += 1\n",
    "the program's own lines": "if __name__ == '__main__':\n    def go():\n        global n\n"
    "        n += 1\n    go()\n",
    "__init_subclass__": "class A:\n    count = 0\n    def __init_subclass__(cls):\n        A.count += 1\n",
    "a metaclass": "class M(type):\n    count = 0\n    def __new__(mcs, *a):\n        M.count += 1\n"
    "        return super().__new__(mcs, *a)\n",
    "a registering decorator with arguments": "def route(path):\n    def add(fn):\n        global n\n"
    "        n += 1\n        return fn\n    return add\n",
}  # fmt: skip

WITH_THREADS = {
    "a decorator's wrapper": "def counted(fn):\n    def inner(*a):\n        global n\n        n += 1\n"
    "        return fn(*a)\n    return inner\n@counted\ndef f():\n    pass\n",
    "called at import and later": "def _load():\n    global n\n    n += 1\n_load()\ndef again():\n    _load()\n",
    "main() as a thread": "def main():\n    global n\n    n += 1\ndef go():\n"
    "    threading.Thread(target=main).start()\n",
    "a method with a namesake in a decorator": "class A:\n    def get(self):\n        global n\n        n += 1\n"
    "@app.get('/')\ndef f():\n    pass\n",
    "given away at import": "def _load():\n    global n\n    n += 1\nhandlers = {'x': _load}\n",
}  # fmt: skip


@pytest.mark.parametrize("name", BEFORE_THREADS)
def test_what_runs_before_there_are_threads_is_no_hazard(tmp_path: Path, name: str) -> None:
    assert audit(tmp_path, COUNT + BEFORE_THREADS[name]).findings == ()


@pytest.mark.parametrize("name", WITH_THREADS)
def test_what_may_run_later_is(tmp_path: Path, name: str) -> None:
    report = audit(tmp_path, COUNT + WITH_THREADS[name])
    assert [f.object for f in of_rule(report, "FT101")] == ["app.n"]


@pytest.mark.parametrize(
    "made",
    [
        "threading.local()",
        "queue.Queue()",
        "contextvars.ContextVar('x')",
        "itertools.count()",
        "threading.Event()",
    ],
)
def test_what_is_made_for_threads_is_no_hazard(tmp_path: Path, made: str) -> None:
    source = (
        f"import contextvars, itertools, queue, threading\nx = {made}\n"
        "def f():\n    x.n = 1\n    x.n += 1\n    x.put(next(x))\n"
        "    if not x.queue:\n        x.pop()\n    return x.get()\n"
    )
    assert audit(tmp_path, source).findings == ()
