"""Hazards of namespaces and of single statements, each with a twin that is safe."""

from __future__ import annotations

from tests.unit.audit_shape import Shape

STATEMENTS: list[Shape] = [
    Shape(
        "an aiohttp app's total across an await",
        ("FT101",),
        """
        from aiohttp import web
        app = web.Application()
        app["spent"] = 0
        async def spend(request):
            app["spent"] = app["spent"] + await cost(request)
            return web.json_response(app["spent"])
        """,
        """
        from aiohttp import web
        import asyncio
        app = web.Application()
        app["spent"] = 0
        spent_lock = asyncio.Lock()
        async def spend(request):
            async with spent_lock:
                app["spent"] = app["spent"] + await cost(request)
            return web.json_response(app["spent"])
        """,
    ),
    Shape(
        "a counter that starts again",
        ("FT101",),
        """
        _turn = 0
        def turn(most):
            global _turn
            _turn = _turn + 1 if _turn < most else 0
            return _turn
        """,
        """
        import threading
        _turn = 0
        _turn_lock = threading.Lock()
        def turn(most):
            global _turn
            with _turn_lock:
                _turn = _turn + 1 if _turn < most else 0
                return _turn
        """,
    ),
    Shape(
        "a thread-local class whose stack is the class's",
        (
            "FT105",
            "FT109",
        ),
        """
        import threading
        class Scope(threading.local):
            stack = []
        scope = Scope()
        def push(name):
            scope.stack.append(name)
        def pop():
            return scope.stack.pop()
        """,
        """
        import threading
        class Scope(threading.local):
            def __init__(self):
                self.stack = []
        scope = Scope()
        def push(name):
            scope.stack.append(name)
        def pop():
            return scope.stack.pop()
        """,
    ),
    Shape(
        "a client looked for in globals()",
        (
            "FT103",
            "FT102",
        ),
        """
        import httpx
        def client():
            if "_client" not in globals():
                globals()["_client"] = httpx.Client()
            return globals()["_client"]
        """,
        """
        import threading
        import httpx
        _client_lock = threading.Lock()
        def client():
            with _client_lock:
                if "_client" not in globals():
                    globals()["_client"] = httpx.Client()
                return globals()["_client"]
        """,
    ),
    Shape(
        "two items swapped",
        ("FT101",),
        """
        ORDER = list(range(10))
        def swap(i, j):
            ORDER[i], ORDER[j] = ORDER[j], ORDER[i]
        """,
        """
        import threading
        ORDER = list(range(10))
        order_lock = threading.Lock()
        def swap(i, j):
            with order_lock:
                ORDER[i], ORDER[j] = ORDER[j], ORDER[i]
        """,
    ),
    Shape(
        "handlers appended to a module's defaultdict",
        (
            "FT102",
            "FT101",
        ),
        """
        from collections import defaultdict
        HANDLERS = defaultdict(list)
        def subscribe(request, fn):
            HANDLERS[request.topic].append(fn)
        """,
        """
        HANDLERS = {}
        def subscribe(request, fn):
            HANDLERS.setdefault(request.topic, []).append(fn)
        """,
    ),
]
