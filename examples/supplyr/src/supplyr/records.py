"""The records every part of SUPPLYR works on.

Both are named tuples: immutable, compact when pickled, and cheap to make in large numbers.
"""

from typing import NamedTuple


class Supplier(NamedTuple):
    """One supplier of the directory; every text field may be empty when it is not known."""

    id: int
    name: str
    street: str
    address_extra: str
    city: str
    postcode: str
    region: str
    country: str  # ISO 3166-1 alpha-2
    phone: str
    email: str
    website: str
    vat_number: str
    categories: tuple[str, ...]  # NACE-like codes such as "25.62"
    latitude_deg: float
    longitude_deg: float
    updated_day: int  # proleptic ordinal, see datetime.date.toordinal
    response_time_h: int


class PriceRow(NamedTuple):
    """One line of a supplier's price list."""

    sku: str
    description: str
    unit: str
    price_cents: int
    currency: str  # ISO 4217
    min_quantity: int
