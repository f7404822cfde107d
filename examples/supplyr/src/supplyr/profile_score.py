"""How good a profile is: what the directory sorts by when nobody asks for anything nearer."""

import json
import math
from functools import lru_cache
from random import Random
from typing import NamedTuple

from lanewise import task

FRESHNESS_HALF_LIFE_DAYS = 180
RESPONSE_HALF_POINT_H = 24
_LONG_DESCRIPTION = 400
_FULL_CERTIFICATES = 3
# Points of a complete profile; they add up to 1.
_POINTS = {
    "has_street": 0.08, "has_city": 0.05, "has_postcode": 0.05, "has_phone": 0.12,
    "has_email": 0.10, "has_website": 0.10, "has_vat_number": 0.10,
}  # fmt: skip
_DESCRIPTION_POINTS, _CODE_POINTS, _IMAGE_POINTS = 0.15, 0.10, 0.15
_WEIGHTS = {"completeness": 0.45, "freshness": 0.20, "response": 0.20, "certificates": 0.15}
_DIGITS = 6


class ProfileRow(NamedTuple):
    """What a score is made of, as the database writes it; an unknown `answers_h` is -1."""

    supplier_id: int
    has_street: int
    has_city: int
    has_postcode: int
    has_phone: int
    has_email: int
    has_website: int
    has_vat_number: int
    described: int
    code_count: int
    certificate_count: int
    image_count: int
    answers_h: int
    updated_day: int
    complete_before: float
    score_before: float


class Scored(NamedTuple):
    """A supplier whose figures changed."""

    supplier_id: int
    completeness: float
    score: float


def completeness(row: ProfileRow) -> float:
    """Return the share (0 to 1) of a profile that is filled in."""
    points = sum(share for name, share in _POINTS.items() if getattr(row, name))
    points += _DESCRIPTION_POINTS * min(row.described / _LONG_DESCRIPTION, 1.0)
    points += _CODE_POINTS * (row.code_count > 0) + _IMAGE_POINTS * (row.image_count > 0)
    return round(points, _DIGITS)


def score(row: ProfileRow, day: int) -> float:
    """Return the score (0 to 1) on a day (proleptic ordinal).

    Of whom nothing is known about answers, half is taken.
    """
    age_days = max(day - row.updated_day, 0)
    freshness = math.exp2(-age_days / FRESHNESS_HALF_LIFE_DAYS)
    response = 0.5 if row.answers_h < 0 else 1 / (1 + row.answers_h / RESPONSE_HALF_POINT_H)
    total = (
        _WEIGHTS["completeness"] * completeness(row)
        + _WEIGHTS["freshness"] * freshness
        + _WEIGHTS["response"] * response
        + _WEIGHTS["certificates"] * min(row.certificate_count / _FULL_CERTIFICATES, 1.0)
    )
    return round(total, _DIGITS)


def _page_size(page: bytes, day: int) -> int:
    return page.count(b"[") - 1


@lru_cache(maxsize=8)
def _sample_page(count: int) -> bytes:
    rng = Random(20250106)
    rows = [
        (
            number, *(rng.randrange(2) for _ in range(7)), rng.randrange(800), rng.randrange(3),
            rng.randrange(4), rng.randrange(2), rng.randrange(-1, 96), 739000 + rng.randrange(252),
            0.0, 0.0,
        )
        for number in range(count)
    ]  # fmt: skip
    return json.dumps(rows).encode()


def _page_inputs(size: int) -> tuple[bytes, int]:
    return _sample_page(size), 739252


@task(size=_page_size, inputs=_page_inputs, idempotent=True)
def score_page(page: bytes, day: int) -> list[Scored]:
    """Return the suppliers of a page whose figures differ from the kept ones. Plain Python."""
    changed: list[Scored] = []
    for values in json.loads(page):
        row = ProfileRow(*values)
        complete, scored = completeness(row), score(row, day)
        if (complete, scored) != (row.complete_before, row.score_before):
            changed.append(Scored(row.supplier_id, complete, scored))
    return changed
