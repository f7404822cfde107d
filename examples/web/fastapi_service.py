"""A FastAPI service that computes and stays responsive.

To try it, in this folder::

    pip install fastapi uvicorn
    uvicorn fastapi_service:app
    curl localhost:8000/primes/3000000
    open http://localhost:8000/_lanewise/
"""

from fastapi import FastAPI, Request
from work import primes_below

from lanewise.web import LanewiseMiddleware, dashboard, lifespan, runtime_of

# Whoever would wait for a place longer than a second is told with 503 to come again later.
app = FastAPI(lifespan=lifespan(queue_timeout_s=1.0, propagate=["lanewise.web:request_id"]))
app.add_middleware(LanewiseMiddleware)
app.mount("/_lanewise", dashboard())


@app.get("/primes/{limit}")
async def primes(limit: int, request: Request) -> dict[str, int]:
    """Count primes on whatever lane is best for so many."""
    return {"primes": await runtime_of(request).run(primes_below, limit)}
