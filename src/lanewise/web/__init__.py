"""lanewise in a web service: ASGI middleware, lifespans, metrics and a live page. Standard library only.

The modules::

    middleware.py   overload becomes 503, work ends when its client leaves, deadlines are kept
    exchange.py     one request: is its client still there?; sweep.py: when to look
    overload.py     the 503, and an exception handler for frameworks
    lifespan.py     a Runtime for as long as an app runs; finding.py: where it is then
    metrics.py      Prometheus; otel.py: OpenTelemetry (extra); families.py: what both say
    readiness.py    whether to send requests here; recent.py: what happened lately
    pages/          the live page, its JSON, /metrics, /ready and /live
"""

from lanewise.web.finding import runtime_of
from lanewise.web.lifespan import lifespan, with_runtime
from lanewise.web.metrics import metrics_text
from lanewise.web.middleware import LanewiseMiddleware
from lanewise.web.otel import instrument
from lanewise.web.overload import overloaded_handler
from lanewise.web.pages import dashboard
from lanewise.web.request_context import request_id

__all__ = [
    "LanewiseMiddleware",
    "dashboard",
    "instrument",
    "lifespan",
    "metrics_text",
    "overloaded_handler",
    "request_id",
    "runtime_of",
    "with_runtime",
]
