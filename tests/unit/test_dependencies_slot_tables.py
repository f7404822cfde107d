"""Slot tables in memory, of both kinds, and a reader that does not trust itself."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import pytest
from tests.unit.interpreters import far_side

from lanewise.readiness.dependencies import _slot_probe as reader
from lanewise.readiness.dependencies.probe import Probe, start

OWN, FREE = 2, 1


def plain(*entries: tuple[int, int]) -> Any:
    return (reader.ModuleSlot * (len(entries) + 1))(*entries)


def unified(*entries: tuple[int, int]) -> Any:
    table = [(slot, 0, 0, value) for slot, value in entries]
    return (reader.UnifiedSlot * (len(entries) + 1))(*table)


@pytest.fixture
def newest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read as 3.15 does, whatever runs this."""
    for name in ("HAS_UNIFIED_SLOTS", "HAS_INTERPRETERS_SLOT", "HAS_GIL_SLOT"):
        monkeypatch.setattr(reader, name, True)


def test_a_table_ends_where_its_end_is() -> None:
    table = plain((2, 77), (3, OWN), (4, FREE))
    assert list(reader._plain(ctypes.addressof(table))) == [(2, 77), (3, OWN), (4, FREE)]
    assert list(reader._plain(None)) == []


@pytest.mark.usefixtures("newest")
def test_tables_in_tables_are_read_in_their_place() -> None:
    old = plain((4, FREE))
    inner = unified((reader.MODULE_SUBSLOTS_ID, ctypes.addressof(old)), (86, OWN))
    outer = unified((100, 1), (reader.UNIFIED_SUBSLOTS_ID, ctypes.addressof(inner)), (101, 1))
    found = list(reader._unified(ctypes.addressof(outer)))
    assert found == [(100, 1), (4, FREE), (86, OWN), (101, 1)]
    assert reader._multi_phase(found, "PyModExport") == {
        "multi_phase": True,
        "interpreters": "own_gil",
        "gil": "not_used",
        "entry": "PyModExport",
    }


@pytest.mark.usefixtures("newest")
def test_a_table_that_holds_itself_is_refused() -> None:
    table = unified((reader.UNIFIED_SUBSLOTS_ID, 0))
    table[0].value = ctypes.addressof(table)
    with pytest.raises(ValueError, match="nested deeper"):
        list(reader._unified(ctypes.addressof(table)))


def test_before_315_the_new_numbers_mean_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "HAS_UNIFIED_SLOTS", False)
    assert reader._declared([(87, FREE)], reader.GIL_IDS, reader.GIL) == "undeclared"
    monkeypatch.setattr(reader, "HAS_UNIFIED_SLOTS", True)
    assert reader._declared([(87, FREE)], reader.GIL_IDS, reader.GIL) == "not_used"


def test_a_value_that_no_version_has_is_unknown() -> None:
    assert reader._declared([(4, 9)], reader.GIL_IDS, reader.GIL) == "unknown"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 has no slots to read wrongly")
def test_a_reader_that_reads_known_modules_wrongly_answers_nothing() -> None:
    done = far_side(
        """
        from lanewise.readiness.dependencies import _slot_probe as reader
        reader.MULTIPLE_INTERPRETERS_IDS = (7, 7)
        print(reader.prepare({})["calibration_failure"])
        print(reader.answer({"module": "x", "path": "x.so"})["error"])
        """
    )
    first, second = done.stdout.decode().splitlines()
    assert first.startswith("known modules read wrongly: ")
    assert second.startswith("not read: known modules read wrongly")


def test_a_reader_without_known_modules_answers_nothing() -> None:
    done = far_side(
        """
        from lanewise.readiness.dependencies import _slot_probe as reader
        reader._known = lambda: ()
        print(reader.prepare({})["calibration_failure"])
        """
    )
    assert b"too few shared modules" in done.stdout


def test_the_reader_runs_as_text_without_this_package() -> None:
    with start(Probe("_slot_probe.py", flags=("-S",))) as child:
        assert child.prepared["calibration_failure"] is None
