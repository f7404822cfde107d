"""A supplier's own page, and the forms by which writers change it."""

from typing import Annotated, Any, get_args

from fastapi import APIRouter, Form, Query, Request
from pydantic import ValidationError
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from supplyr import directory
from supplyr.catalogue import parse_price_cents
from supplyr.classification import TITLES
from supplyr.directory import DirectoryError
from supplyr.records import PriceRow
from supplyr.store import archive as archive_rows
from supplyr.store import audit, images, products
from supplyr.web.api.asked import Typed
from supplyr.web.api.models import MAX_ID, ProductIn, SupplierChange
from supplyr.web.api.suppliers import SupplierId, shown
from supplyr.web.context import context_of
from supplyr.web.entry_check import checked_on_entry
from supplyr.web.errors import ProblemError, field_errors
from supplyr.web.identity import Visitor, Writer, form_of
from supplyr.web.limits import WRITES
from supplyr.web.pages.search import CODE_TITLES, COUNTRIES
from supplyr.web.rendering import render

router = APIRouter(include_in_schema=False)
_PRODUCTS = 50
_NEIGHBOURS = 4
_CHANGES = 10
_ARCHIVED = 50
CURRENCIES: tuple[str, ...] = get_args(ProductIn.model_fields["currency"].annotation)
# What parts the items of a list in the form. Certificates have commas in their names.
_LISTS = {"codes": ",", "certificates": "\n"}


@router.get("/suppliers/new")
async def new_supplier(request: Request, _identity: Writer) -> Response:
    """Show an empty form."""
    return _form(request, {}, [], None)


@router.post("/suppliers/new", dependencies=[WRITES])
async def add_supplier(request: Request, identity: Writer) -> Response:
    """Add a supplier, and show it; or the form again, with what is wrong."""
    context = context_of(request)
    form = await form_of(request)
    try:
        supplier = SupplierChange.model_validate(_values(form), strict=False)
        supplier_id = await directory.add(context.database, identity, supplier.draft())
    except (ValidationError, DirectoryError) as error:
        return _form(request, dict(form), _told(error), None)
    await checked_on_entry(context, supplier_id)
    return RedirectResponse(f"/suppliers/{supplier_id}?saved=1", 303)


@router.get("/suppliers/{supplier_id:id}")
async def profile(
    request: Request,
    identity: Visitor,
    supplier_id: SupplierId,
    after: Annotated[Typed, Query(max_length=40)] = "",
) -> Response:
    """Show a supplier; one that was merged leads to the one it was merged into."""
    context = context_of(request)
    try:
        row = await shown(context.database, supplier_id)
    except ProblemError as error:
        if error.more.get("merged_into"):
            # A merge can be undone, so no browser may remember where it led.
            return RedirectResponse(
                f"/suppliers/{error.more['merged_into']}",
                302,
                {"cache-control": "no-store"},
            )
        raise
    rows = await products.page_of(context.database, supplier_id, after, _PRODUCTS + 1)
    neighbours = await context.search.neighbours(row, _NEIGHBOURS)
    changes = []
    if identity is not None:
        changes = await audit.of_subject(context.database, f"supplier:{supplier_id}", _CHANGES)
    values = {
        "supplier": row,
        "products": rows[:_PRODUCTS],
        "next_after": rows[_PRODUCTS - 1]["sku"] if len(rows) > _PRODUCTS else None,
        "neighbours": neighbours,
        "changes": changes,
        "images": await images.of_supplier(context.database, supplier_id),
        "titles": CODE_TITLES,
        "country_names": COUNTRIES,
        "currencies": CURRENCIES,
        "saved": "saved" in request.query_params,
    }
    return render(request, "profile.html", values)


@router.get("/suppliers/{supplier_id:id}/edit")
async def edit(request: Request, _identity: Writer, supplier_id: SupplierId) -> Response:
    """Show the form with what is there."""
    row = await shown(context_of(request).database, supplier_id)
    values = {
        **row,
        "codes": ", ".join(row["codes"]),
        "certificates": "\n".join(row["certificates"]),
    }
    return _form(request, values, [], supplier_id)


@router.post("/suppliers/{supplier_id:id}/edit", dependencies=[WRITES])
async def change(request: Request, identity: Writer, supplier_id: SupplierId) -> Response:
    """Change a supplier, and show it; or the form again, with what is wrong."""
    context = context_of(request)
    form = await form_of(request)
    try:
        supplier = SupplierChange.model_validate(_values(form), strict=False)
        await directory.change(
            context.database, identity, supplier_id, supplier.draft(), supplier.version
        )
    except directory.NotThereError:
        raise
    except (ValidationError, DirectoryError) as error:
        return _form(request, dict(form), _told(error), supplier_id)
    await checked_on_entry(context, supplier_id)
    return RedirectResponse(f"/suppliers/{supplier_id}?saved=1", 303)


@router.post("/suppliers/{supplier_id:id}/archive", dependencies=[WRITES])
async def archive(request: Request, identity: Writer, supplier_id: SupplierId) -> Response:
    """Archive a supplier."""
    await directory.set_shown(context_of(request).database, identity, supplier_id, shown=False)
    return RedirectResponse("/archive", 303)


@router.get("/archive")
async def archived(
    request: Request,
    _identity: Writer,
    before: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
) -> Response:
    """Show archived suppliers, to bring them back."""
    rows = await archive_rows.page(context_of(request).database, before, _ARCHIVED)
    values = {
        "suppliers": rows,
        "older": rows[-1]["id"] if len(rows) == _ARCHIVED else None,
        "country_names": COUNTRIES,
    }
    return render(request, "archive.html", values, headers={"cache-control": "no-store"})


@router.post("/suppliers/{supplier_id:id}/restore", dependencies=[WRITES])
async def restore(request: Request, identity: Writer, supplier_id: SupplierId) -> Response:
    """Show an archived supplier again."""
    await directory.set_shown(context_of(request).database, identity, supplier_id, shown=True)
    return RedirectResponse(f"/suppliers/{supplier_id}?saved=1", 303)


@router.post("/suppliers/{supplier_id:id}/products", dependencies=[WRITES])
async def add_product(
    request: Request,
    identity: Writer,
    supplier_id: SupplierId,
    sku: Annotated[str, Form(max_length=40)] = "",
    description: Annotated[str, Form(max_length=300)] = "",
    unit: Annotated[str, Form(max_length=10)] = "pcs",
    price: Annotated[str, Form(max_length=20)] = "",
    currency: Annotated[str, Form(max_length=3)] = "",
    min_quantity: Annotated[str, Form(max_length=9)] = "",
) -> Response:
    """Add a product, or update the one with the same article number: what is left out stays."""
    database = context_of(request).database
    number = sku.strip().upper()
    try:
        sent: dict[str, Any] = {"sku": number, "description": description, "unit": unit,
                                "price_cents": parse_price_cents(price)}  # fmt: skip
        # Looked at first: what is no article number is no question for the database.
        ProductIn.model_validate(sent)
        known = await products.by_sku(database, supplier_id, number)
        if known is not None:
            sent |= {name: known[name] for name in ("currency", "min_quantity")}
        if currency:
            sent["currency"] = currency
        if min_quantity:
            sent["min_quantity"] = min_quantity
        item = ProductIn.model_validate(sent, strict=False)
    except ValidationError as error:
        raise ProblemError(422, "; ".join(_told(error)), code="invalid") from error
    except ValueError as error:
        raise ProblemError(422, f"Price: {error}.", code="invalid") from error
    row = PriceRow(**item.model_dump())
    await directory.put_products(database, identity, supplier_id, [row])
    return RedirectResponse(f"/suppliers/{supplier_id}#products", 303)


@router.post("/suppliers/{supplier_id:id}/products/{product_id}/delete", dependencies=[WRITES])
async def delete_product(
    request: Request, identity: Writer, supplier_id: SupplierId, product_id: SupplierId
) -> Response:
    """Delete a product."""
    database = context_of(request).database
    await directory.remove_product(database, identity, supplier_id, product_id)
    return RedirectResponse(f"/suppliers/{supplier_id}#products", 303)


def _form(
    request: Request, values: dict[str, Any], errors: list[str], supplier_id: int | None
) -> Response:
    context = {
        "values": values,
        "errors": errors,
        "supplier_id": supplier_id,
        "codes": sorted(TITLES.items()),
        "countries": COUNTRIES,
    }
    return render(request, "edit.html", context, status=422 if errors else 200)


def _values(form: FormData) -> dict[str, Any]:
    """Return what a form says as the API's model takes it: empty numbers left out, lists split."""
    values: dict[str, Any] = {}
    for name in SupplierChange.model_fields:
        sent = form.get(name)
        if not isinstance(sent, str):
            continue
        text = sent.strip().replace("\r\n", "\n")
        if name in _LISTS:
            values[name] = [part.strip() for part in text.split(_LISTS[name]) if part.strip()]
        elif text or SupplierChange.model_fields[name].default == "":
            values[name] = text
    return values


def _told(error: ValidationError | DirectoryError) -> list[str]:
    if isinstance(error, DirectoryError):
        return [str(error)]
    return [
        f"{one['field'].partition('.')[0].replace('_', ' ').capitalize()}: {one['message']}"
        for one in field_errors(error.errors())
    ]
