"""What the API takes and gives. Sizes are limited here, and texts hold no control characters."""

import re
from typing import Annotated, Literal

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.convertors import IntegerConvertor, register_url_convertor

from supplyr.search.engine import Hit
from supplyr.store.suppliers import Draft

MAX_ID = 2**53 - 1  # what JSON numbers carry exactly
Id = Annotated[int, Field(ge=1, le=MAX_ID)]
RowId = Annotated[int, Path(ge=1, le=MAX_ID)]
# What a column of four bytes holds.
_MAX_VERSION = 2**31 - 1
# Bodies are JSON: "12" is no number there, and 1 no boolean.
STRICT = ConfigDict(extra="forbid", strict=True)


class _IdConvertor(IntegerConvertor):
    """`{supplier_id:id}` in paths: Starlette's `int` takes more digits than Python reads."""

    regex = "[0-9]{1,16}"


register_url_convertor("id", _IdConvertor())


# No control characters but tab and line ends: no database and no page should get any. As patterns,
# so that OpenAPI tells it too.
_C = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f"
_CLEAN = f"^[^{_C}]*$"
_CLEAN_AND_FILLED = f"^[^{_C}]*[^{_C}\\s][^{_C}]*$"


def without_controls(text: str) -> str:
    """Return a text; ValueError where it holds what no database and no page should."""
    if re.search(f"[{_C}]", text) or any("\ud800" <= char < "\ue000" for char in text):
        raise ValueError("must not hold control characters")
    return text


def _limits(most: int, least: int = 0) -> StringConstraints:
    pattern = _CLEAN_AND_FILLED if least else _CLEAN
    return StringConstraints(
        min_length=least, max_length=most, strip_whitespace=True, pattern=pattern
    )


_WEB = StringConstraints(
    max_length=300, strip_whitespace=True, pattern=rf"^(https?://[^\s{_C}]+)?$"
)
Name = Annotated[str, _limits(200, 1)]
Short = Annotated[str, _limits(120)]
Long = Annotated[str, _limits(5000)]
Web = Annotated[str, _WEB]
Code = Annotated[str, StringConstraints(pattern=r"^[0-9]{2}(\.[0-9]{1,2})?$")]
Country = Annotated[str, StringConstraints(pattern=r"^([A-Z]{2})?$")]


class SupplierIn(BaseModel):
    """What a writer says of a supplier."""

    model_config = STRICT

    name: Name
    description: Long = ""
    street: Short = ""
    address_extra: Short = ""
    city: Short = ""
    postcode: Annotated[str, _limits(20)] = ""
    region: Short = ""
    country: Country = Field("", description="ISO 3166-1 alpha-2")
    phone: Annotated[str, _limits(40)] = ""
    email: Annotated[str, _limits(254)] = ""
    website: Web = ""
    vat_number: Annotated[str, _limits(20)] = ""
    latitude_deg: float | None = Field(None, ge=-90, le=90, allow_inf_nan=False)
    longitude_deg: float | None = Field(None, ge=-180, le=180, allow_inf_nan=False)
    employees: int | None = Field(None, ge=0, le=10_000_000)
    founded_year: int | None = Field(None, ge=1000, le=2100)
    response_time_h: int | None = Field(None, ge=0, le=10_000)
    external_ref: Annotated[str, _limits(80, 1)] | None = Field(
        None, description="What it is called where it came from; unique"
    )
    codes: list[Code] = Field(default_factory=list, max_length=20)
    certificates: list[Annotated[str, _limits(40, 1)]] = Field(default_factory=list, max_length=20)

    def draft(self) -> Draft:
        """Return this as the directory knows it."""
        values = self.model_dump()
        values["codes"] = tuple(sorted(set(self.codes)))
        values["certificates"] = tuple(sorted(set(self.certificates)))
        return Draft(**values)


class SupplierChange(SupplierIn):
    """All that is said of a supplier from now on."""

    version: int | None = Field(
        None, ge=1, le=_MAX_VERSION, description="That you read; 409 where it is another by now"
    )

    def draft(self) -> Draft:
        """Return this as the directory knows it."""
        return SupplierIn(**self.model_dump(exclude={"version"})).draft()


class Supplier(BaseModel):
    """A supplier of the directory."""

    id: int
    name: str
    description: str
    street: str
    address_extra: str
    city: str
    postcode: str
    region: str
    country: str
    phone: str
    email: str
    website: str
    vat_number: str
    latitude_deg: float | None
    longitude_deg: float | None
    employees: int | None
    founded_year: int | None
    response_time_h: int | None
    external_ref: str | None
    codes: list[str]
    certificates: list[str]
    status: Literal["active", "archived", "merged"]
    merged_into: int | None
    duplicate_check: Literal["unchecked", "clear", "suspected"]
    ranking_score: float
    completeness: float
    version: int
    created_at_s: float
    updated_at_s: float


class Found(BaseModel):
    """A supplier in a list."""

    id: int
    name: str
    city: str
    region: str
    country: str
    codes: list[str]
    certificates: list[str]
    description: str
    ranking_score: float
    distance_km: float | None = None

    @staticmethod
    def of(hit: Hit) -> "Found":
        """Return a hit as the API tells it."""
        distance = None if hit.distance_km is None else round(hit.distance_km, 3)
        return Found.model_validate({**hit.row, "distance_km": distance})


class FoundPage(BaseModel):
    """A page of suppliers; the next one is asked for with `cursor=next_cursor`."""

    items: list[Found]
    next_cursor: str | None
    near_words: dict[str, list[str]] = Field(
        default_factory=dict, description="What words were taken for as well, where few were found"
    )


class Counted(BaseModel):
    """A value of a facet and how many suppliers have it."""

    value: str
    count: int


class OverviewOut(BaseModel):
    """How many suppliers a question finds, counted no further than `counted_at_most`."""

    count: int
    counted_at_most: int
    facets: dict[str, list[Counted]]


class SuggestionOut(BaseModel):
    """What somebody may be about to type; `key` is a supplier's id or a code."""

    kind: Literal["supplier", "code"]
    text: str
    detail: str
    key: str


class CodeOut(BaseModel):
    """A code of the classification."""

    code: str
    parent: str | None
    title: str


class Created(BaseModel):
    """A supplier that was added, and which ones it may be a duplicate of."""

    id: int
    duplicate_check: Literal["unchecked", "clear", "suspected"]
    suspected: list[int] = Field(default_factory=list)


class ProductIn(BaseModel):
    """A product of a price list."""

    model_config = STRICT

    sku: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9][A-Z0-9._/-]{2,31}$")]
    description: Annotated[str, _limits(200, 1)]
    unit: Literal["pcs", "kg", "m", "l", "box"] = "pcs"
    price_cents: int = Field(ge=1, le=1_000_000_000)
    currency: Literal["EUR", "CHF", "USD", "GBP", "PLN", "CZK", "SEK", "DKK", "NOK"] = "EUR"
    min_quantity: int = Field(1, ge=1, le=999_999_999)


class ProductsIn(BaseModel):
    """Some products; whole price lists are imported instead."""

    model_config = STRICT

    items: list[ProductIn] = Field(min_length=1, max_length=200)


class Product(ProductIn):
    """A product as it is kept."""

    model_config = ConfigDict(extra="ignore", strict=False)

    id: int
    # As they were imported: what is kept is told, whatever the rules are by now.
    sku: str
    description: str


class ProductPage(BaseModel):
    """Products by article number; the next page is asked for with `after=next_after`."""

    items: list[Product]
    next_after: str | None


class ApiKeyIn(BaseModel):
    """What a new key is for."""

    model_config = STRICT

    label: Annotated[str, _limits(60, 1)]


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
