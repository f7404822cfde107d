"""FT111 and its neighbours keep quiet where one thread alone comes to an object, or nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.audit_cases import audit

from lanewise.readiness.findings import at_least

LAMBDA = """
import asyncio
import threading
queue = asyncio.Queue()
loop = asyncio.new_event_loop()
def feed(item):
    loop.call_soon_threadsafe(lambda: queue.put_nowait(item))
threading.Thread(target=feed, args=(1,)).start()
"""
OWN_LOOP = """
import asyncio
import threading
def run():
    loop = asyncio.new_event_loop()
    loop.call_soon(print)
    loop.run_forever()
threading.Thread(target=run).start()
"""
FROM_BOTH = """
import asyncio
import threading
class Stream:
    def __init__(self):
        self.full = asyncio.Event()
    def receive(self):
        self.full.set()
class Connection:
    def __init__(self):
        self.stream = Stream()
    def on_data(self):
        self.stream.receive()
    async def serve(self):
        self.on_data()
def begin(connection):
    connection.on_data()
threading.Thread(target=begin).start()
"""
OWN_CONNECTION = """
import sqlite3
def rows(query):
    connection = sqlite3.connect("jobs.db", check_same_thread=False)
    return connection.execute(query).fetchall()
"""
PUT_BACK = """
cache = {}
def look(name, make):
    if name in cache:
        page, size = cache[name]
    else:
        page, size = make(name)
        cache[name] = page, size
    return page
"""
ONLY_LOCKED_CALLERS = """
import threading
counts = {}
lock = threading.Lock()
def bump(table, name):
    table[name] = table.get(name, 0) + 1
def hit(name):
    with lock:
        bump(counts, name)
"""


@pytest.mark.parametrize(
    "text",
    [LAMBDA, OWN_LOOP, FROM_BOTH, OWN_CONNECTION, PUT_BACK, ONLY_LOCKED_CALLERS],
    ids=["lambda for the loop", "a loop of one's own", "called by a coroutine too",
         "a connection of one's own", "put back as it was", "callers hold the lock"],
)  # fmt: skip
def test_nothing_is_said(text: str, tmp_path: Path) -> None:
    report = audit(tmp_path, text)
    assert [f for f in report.findings if at_least(f.level, "warning")] == []


def test_a_parameter_stands_for_what_is_given_to_it(tmp_path: Path) -> None:
    text = ONLY_LOCKED_CALLERS + "def other(name):\n    bump(counts, name)\n"
    assert [(f.rule, f.object) for f in audit(tmp_path, text).findings] == [("FT101", "app.counts")]
