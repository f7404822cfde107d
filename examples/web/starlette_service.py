"""A Starlette service that computes and stays responsive.

To try it, in this folder::

    pip install starlette uvicorn
    uvicorn starlette_service:app
    curl localhost:8000/primes/3000000
    open http://localhost:8000/_lanewise/
"""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from work import primes_below

from lanewise.web import LanewiseMiddleware, dashboard, lifespan, runtime_of


async def primes(request: Request) -> JSONResponse:
    """Count primes on whatever lane is best for so many."""
    limit = request.path_params["limit"]
    return JSONResponse({"primes": await runtime_of(request).run(primes_below, limit)})


app = Starlette(
    routes=[Route("/primes/{limit:int}", primes), Mount("/_lanewise", dashboard())],
    middleware=[Middleware(LanewiseMiddleware)],
    # Whoever would wait for a place longer than a second is told with 503 to come again later.
    lifespan=lifespan(queue_timeout_s=1.0, propagate=["lanewise.web:request_id"]),
)
