"""Row validation: one problem per wrong field."""

import pytest

from supplyr.validation import Problem, validate_rows

GOOD = {
    "vat_number": "DE136695976",
    "email": "info@weber-stahlbau.de",
    "phone": "+49 (0) 751 123-456",
    "postcode": "88212",
    "country": "DE",
    "price": "1.234,50",
    "currency": "EUR",
}


def test_good_row() -> None:
    assert validate_rows([GOOD]).valid == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vat_number", "DE136695977"),
        ("email", "info@weber"),
        ("email", "info@-weber.de"),
        ("phone", "0751 123456"),
        ("postcode", "8821"),
        ("price", "-5"),
        ("currency", "DEM"),
    ],
)
def test_wrong_values(field: str, value: str) -> None:
    report = validate_rows([GOOD, GOOD | {field: value}])
    assert (report.rows, report.valid) == (2, 1)
    (problem,) = report.problems
    assert (problem.row, problem.field) == (1, field)
    assert problem.message


def test_unknown_country_is_named() -> None:
    report = validate_rows([GOOD | {"country": "XX"}])
    assert report.problems == (Problem(0, "postcode", "no postcode rule for country 'XX'"),)


def test_missing_fields_are_problems() -> None:
    fields = [problem.field for problem in validate_rows([{}]).problems]
    assert fields == ["vat_number", "email", "phone", "postcode", "price", "currency"]
