"""A default that is kept is as bad as what happens to it afterwards."""

from __future__ import annotations

from pathlib import Path

from tests.unit.audit_cases import audit, of_rule

KEPT = """
class Wrapper:
    def __init__(self, flags=[]):
        self.flags = flags
"""
CHANGED = """
    def add(self, flag):
        self.flags.append(flag)
"""
CHANGED_OUTSIDE = """
def add(wrapper, flag):
    wrapper.flags += [flag]
"""


def test_kept_and_only_read_is_a_warning(tmp_path: Path) -> None:
    found = of_rule(audit(tmp_path, KEPT), "FT106")
    assert [f.level for f in found] == ["warning"]


def test_kept_and_changed_by_a_method_is_an_error(tmp_path: Path) -> None:
    found = of_rule(audit(tmp_path, KEPT + CHANGED), "FT106")
    assert [f.level for f in found] == ["error"]


def test_kept_and_changed_from_outside_is_an_error(tmp_path: Path) -> None:
    found = of_rule(audit(tmp_path, KEPT + CHANGED_OUTSIDE), "FT106")
    assert [f.level for f in found] == ["error"]
