"""Hazards in the shapes in which services have them are found, and their safe twins are not."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.audit_cases import audit
from tests.unit.audit_other_shapes import SHAPES
from tests.unit.audit_shape import Shape

from lanewise.readiness.findings import at_least


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_the_hazard_is_found_and_its_twin_is_not(shape: Shape, tmp_path: Path) -> None:
    report = audit(tmp_path / "hazard", shape.hazard)
    found = [f.rule for f in report.findings if at_least(f.level, "warning")]
    assert set(found) & set(shape.rules), report.findings
    twin = audit(tmp_path / "twin", shape.twin)
    assert [f for f in twin.findings if at_least(f.level, "warning")] == []


CONDITION = """
import threading
lock = threading.Lock()
changed = threading.Condition(lock)
served = 0

def one():
    global served
    with lock:
        served += 1

def other():
    global served
    with changed:
        served += 1
        changed.notify()

def main():
    threading.Thread(target=one).start()
    threading.Thread(target=other).start()
"""
BOTH = """
import threading
outer = threading.Lock()
inner = threading.Lock()
served = 0

def one():
    global served
    with outer, inner:
        served += 1

def other():
    global served
    with inner:
        served += 1

def main():
    threading.Thread(target=one).start()
    threading.Thread(target=other).start()
"""
RESTORED = """
import threading
level = 0

def quietly(work):
    global level
    before = level
    level = 3
    try:
        return work()
    finally:
        level = before

def later(value):
    global level
    other = level
    other = value + 1
    level = other

def main():
    threading.Thread(target=quietly, args=(print,)).start()
"""


FACTORY = """
import threading
from dataclasses import dataclass, field

class Meter:
    def __init__(self):
        self.total = 0

    def add(self, value):
        self.total += value

@dataclass
class Request:
    meter: Meter = field(default_factory=Meter)

def handle(value):
    request = Request()
    request.meter.add(value)

def main():
    threading.Thread(target=handle, args=(1,)).start()
"""


@pytest.mark.parametrize("text", [CONDITION, BOTH, RESTORED, FACTORY])
def test_what_only_looks_like_an_update_that_others_see_is_not_told(
    text: str, tmp_path: Path
) -> None:
    assert [f for f in audit(tmp_path, text).findings if f.rule == "FT101"] == []
