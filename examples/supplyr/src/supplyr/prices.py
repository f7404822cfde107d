"""Seeded price list rows, the input of the catalogue, validation and export tasks."""

from functools import lru_cache
from random import Random

from supplyr.records import PriceRow
from supplyr.wordlists import TRADES

DEFAULT_SEED = 20250102
CURRENCIES = ("EUR", "CHF", "USD", "GBP")
UNITS = ("pcs", "kg", "m", "l", "box")
_GOODS = (
    "Hex bolt M8", "Steel plate 2 mm", "Ball bearing 6204", "Cable duct 40x60", "Hydraulic hose",
    "Epoxy resin", "Corrugated box", "Timber batten", "Gear motor 0.75 kW", "Sealing ring",
    "Cutting disc", "Pressure gauge", "Pallet wrap", "LED panel", "Welding wire", "Oak veneer",
)  # fmt: skip


@lru_cache(maxsize=8)
def price_rows(count: int, seed: int = DEFAULT_SEED) -> tuple[PriceRow, ...]:
    """Return `count` rows with distinct article numbers; equal arguments give equal rows."""
    rng = Random(seed)
    rows: list[PriceRow] = []
    for number in range(1, count + 1):
        code, trade, _, _ = TRADES[rng.randrange(len(TRADES))]
        rows.append(
            PriceRow(
                sku=f"{code.replace('.', '')}-{number:06d}",
                description=f"{_GOODS[rng.randrange(len(_GOODS))]} ({trade})",
                unit=UNITS[rng.randrange(len(UNITS))],
                price_cents=50 + rng.randrange(500_000),
                currency=CURRENCIES[rng.randrange(10) // 7 and rng.randrange(len(CURRENCIES))],
                min_quantity=1 + rng.randrange(50),
            )
        )
    return tuple(rows)
