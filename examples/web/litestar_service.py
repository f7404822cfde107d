"""A Litestar service that computes and stays responsive.

To try it, in this folder::

    pip install litestar uvicorn
    uvicorn litestar_service:app
    curl localhost:8000/primes/3000000
    open http://localhost:8000/_lanewise/
"""

from typing import Any

from litestar import Litestar, Request, asgi, get
from litestar.params import FromPath
from work import primes_below

from lanewise import OverloadedError, TaskTimeoutError
from lanewise.web import LanewiseMiddleware, dashboard, lifespan, overloaded_handler, runtime_of


@get("/primes/{limit:int}")
async def primes(limit: FromPath[int], request: Request[Any, Any, Any]) -> dict[str, int]:
    """Count primes on whatever lane is best for so many."""
    return {"primes": await runtime_of(request).run(primes_below, limit)}


app = Litestar(
    route_handlers=[primes, asgi("/_lanewise", is_mount=True, copy_scope=True)(dashboard())],
    middleware=[LanewiseMiddleware],
    # Litestar answers exceptions before a middleware sees them.
    exception_handlers={
        OverloadedError: overloaded_handler,
        TaskTimeoutError: overloaded_handler,
    },
    # Whoever would wait for a place longer than a second is told with 503 to come again later.
    lifespan=[lifespan(queue_timeout_s=1.0, propagate=["lanewise.web:request_id"])],
)
