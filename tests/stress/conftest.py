"""Hand-overs between threads as often as they can be, and the jobs of the integration tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "integration" / "far_side"))


@pytest.fixture(autouse=True)
def tiny_switch_interval():
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before_s + 0.5e-6)  # the interpreter cuts off what is below a microsecond
