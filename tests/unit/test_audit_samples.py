"""Two small backends: one with a hazard of each kind, the other with the same done safely."""

from __future__ import annotations

from pathlib import Path

import pytest

from lanewise.readiness import AuditReport, audit_project

SAMPLES = Path(__file__).parent / "audit_samples"

HAZARDS = [
    ("FT102", "warning", "prices.py:16", "shop.prices._PRICES"),
    ("FT101", "error", "metrics.py:8", "shop.metrics.orders_served"),
    ("FT103", "warning", "database.py:14", "shop.database._connection"),
    ("FT104", "critical", "numbers.py:15", "shop.numbers.ORDER_NUMBERS"),
    ("FT105", "warning", "basket.py:8", "shop.basket.Basket.lines"),
    ("FT106", "error", "labels.py:6", "shop.labels.labels(found)"),
]


@pytest.fixture(scope="module")
def shop() -> AuditReport:
    """Audit the one with the hazards."""
    return audit_project(SAMPLES / "shop")


def test_every_hazard_is_found_once_and_nothing_else(shop: AuditReport) -> None:
    found = [(f.rule, f.level, str(f.place), f.object) for f in shop.findings]
    assert sorted(found) == sorted(HAZARDS)


def test_each_names_the_way_that_threads_come(shop: AuditReport) -> None:
    assert {f.reachable_from for f in shop.findings} == {
        "call on an executor order (service.py:13)"
    }


def test_the_safe_twin_is_silent() -> None:
    assert audit_project(SAMPLES / "safe_shop").findings == ()


def test_both_at_once_are_told_apart() -> None:
    report = audit_project(SAMPLES)
    assert {f.path.split("/")[0] for f in report.findings} == {"shop"}
    assert len(report.findings) == len(HAZARDS)
