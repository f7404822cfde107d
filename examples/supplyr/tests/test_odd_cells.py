"""Cells that were made to slip through."""

import pytest

from supplyr.imports import values
from supplyr.imports.staging import rows_of, stage_table


@pytest.mark.parametrize("char", ["\x00", "\x01", "\x1f", "\x7f"])
def test_a_web_address_holds_no_control_characters(char: str) -> None:
    with pytest.raises(ValueError, match="control characters"):
        values.website(f"https://a.example/{char}")


def test_keys_are_compared_as_they_are_read() -> None:
    text = "Name,Country,Ref\nA,DE,=1\nB,DE,'=1\nC,DE,''=1\n"
    columns = {"external_ref": 2, "name": 0, "country": 1}
    (block,) = stage_table(text.encode(), "suppliers", columns).blocks
    assert [row.repeats for row in rows_of(block)] == [0, 2, 0]
