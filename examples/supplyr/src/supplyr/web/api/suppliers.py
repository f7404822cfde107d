"""Read and change single suppliers and their products."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from supplyr import directory
from supplyr.db.database import Database, Row
from supplyr.records import PriceRow
from supplyr.store import products, suppliers
from supplyr.web.api.asked import Typed
from supplyr.web.api.models import (
    MAX_ID,
    Created,
    Product,
    ProductPage,
    ProductsIn,
    Supplier,
    SupplierChange,
    SupplierIn,
)
from supplyr.web.api.responses import problems
from supplyr.web.conditional import tagged
from supplyr.web.context import context_of
from supplyr.web.entry_check import checked_on_entry
from supplyr.web.errors import ProblemError
from supplyr.web.identity import Writer
from supplyr.web.limits import WRITES

router = APIRouter(prefix="/api/v1/suppliers", tags=["suppliers"])
SupplierId = Annotated[int, Path(ge=1, le=MAX_ID)]


async def shown(database: Database, supplier_id: int) -> Row:
    """Return a supplier that is shown; 404 tells where a merged one has gone."""
    row = await suppliers.get(database, supplier_id)
    if row is None or row["status"] == "archived":
        raise ProblemError(404, f"There is no supplier {supplier_id}.", code="no-supplier")
    if row["status"] == "merged":
        more = {"merged_into": row["merged_into"]}
        said = f"Supplier {supplier_id} was merged into {row['merged_into']}."
        raise ProblemError(404, said, code="merged", more=more)
    return row


@router.get(
    "/{supplier_id:id}",
    response_model=Supplier,
    responses={**problems(404), 304: {"description": "It is as `If-None-Match` says"}},
)
async def read_supplier(request: Request, supplier_id: SupplierId) -> Response:
    """Return one supplier."""
    supplier = Supplier.model_validate(await shown(context_of(request).database, supplier_id))
    return tagged(request, supplier.model_dump_json().encode(), "application/json")


@router.post("", status_code=201, responses=problems(403, 409), dependencies=[WRITES])
async def add_supplier(request: Request, identity: Writer, supplier: SupplierIn) -> Created:
    """Add a supplier. It is compared with those that are there, as far as time allows."""
    context = context_of(request)
    supplier_id = await directory.add(context.database, identity, supplier.draft())
    found = await checked_on_entry(context, supplier_id)
    return Created(id=supplier_id, duplicate_check=found.verdict, suspected=found.suspected)


@router.put("/{supplier_id:id}", responses=problems(403, 404, 409), dependencies=[WRITES])
async def change_supplier(
    request: Request, identity: Writer, supplier_id: SupplierId, supplier: SupplierChange
) -> Supplier:
    """Replace what is said of a supplier."""
    context = context_of(request)
    await directory.change(
        context.database, identity, supplier_id, supplier.draft(), supplier.version
    )
    await checked_on_entry(context, supplier_id)
    return Supplier.model_validate(await shown(context.database, supplier_id))


@router.delete(
    "/{supplier_id:id}", status_code=204, responses=problems(403, 404), dependencies=[WRITES]
)
async def archive_supplier(request: Request, identity: Writer, supplier_id: SupplierId) -> Response:
    """Archive a supplier: it is kept, but neither found nor shown."""
    await directory.set_shown(context_of(request).database, identity, supplier_id, shown=False)
    return Response(status_code=204)


@router.post(
    "/{supplier_id:id}/restore",
    status_code=204,
    responses=problems(403, 404),
    dependencies=[WRITES],
)
async def restore_supplier(request: Request, identity: Writer, supplier_id: SupplierId) -> Response:
    """Show an archived supplier again."""
    await directory.set_shown(context_of(request).database, identity, supplier_id, shown=True)
    return Response(status_code=204)


@router.get("/{supplier_id:id}/products", tags=["products"], responses=problems(404))
async def read_products(
    request: Request,
    supplier_id: SupplierId,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[Typed, Query(max_length=40)] = "",
) -> ProductPage:
    """Return products by article number."""
    database = context_of(request).database
    await shown(database, supplier_id)
    rows = await products.page_of(database, supplier_id, after, limit + 1)
    following = rows[limit - 1]["sku"] if len(rows) > limit else None
    items = [Product.model_validate(row) for row in rows[:limit]]
    return ProductPage(items=items, next_after=following)


@router.post(
    "/{supplier_id:id}/products",
    status_code=204,
    tags=["products"],
    responses=problems(403, 404),
    dependencies=[WRITES],
)
async def put_products(
    request: Request, identity: Writer, supplier_id: SupplierId, sent: ProductsIn
) -> Response:
    """Add products, or update those with the same article number."""
    rows = [PriceRow(**item.model_dump()) for item in sent.items]
    await directory.put_products(context_of(request).database, identity, supplier_id, rows)
    return Response(status_code=204)


@router.delete(
    "/{supplier_id:id}/products/{product_id:id}",
    status_code=204,
    tags=["products"],
    responses=problems(403, 404),
    dependencies=[WRITES],
)
async def remove_product(
    request: Request,
    identity: Writer,
    supplier_id: SupplierId,
    product_id: Annotated[int, Path(ge=1, le=MAX_ID)],
) -> Response:
    """Delete a product."""
    database = context_of(request).database
    await directory.remove_product(database, identity, supplier_id, product_id)
    return Response(status_code=204)
