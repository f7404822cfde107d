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
    Shape(
        "a token refreshed when it has run out",
        (
            "FT102",
            "FT103",
            "FT101",
        ),
        """
        import time
        class Auth:
            def __init__(self):
                self.token = None
                self.expires = 0.0
            def headers(self):
                if self.token is None or time.time() > self.expires:
                    self.token, lifetime = fetch_token()
                    self.expires = time.time() + lifetime
                return {"Authorization": self.token}
        auth = Auth()
        """,
        """
        import threading
        import time
        class Auth:
            def __init__(self):
                self.token = None
                self.expires = 0.0
                self.lock = threading.Lock()
            def headers(self):
                with self.lock:
                    if self.token is None or time.time() > self.expires:
                        self.token, lifetime = fetch_token()
                        self.expires = time.time() + lifetime
                    return {"Authorization": self.token}
        auth = Auth()
        """,
    ),
    Shape(
        "a model loaded by the first request",
        ("FT103",),
        """
        from fastapi import FastAPI
        app = FastAPI()
        model = None
        def load():
            global model
            model = Model.load("weights.bin")
        @app.post("/predict")
        def predict(x: float):
            if model is None:
                load()
            return model.predict(x)
        """,
        """
        import threading
        from fastapi import FastAPI
        app = FastAPI()
        model = None
        model_lock = threading.Lock()
        def load():
            global model
            with model_lock:
                if model is None:
                    model = Model.load("weights.bin")
        @app.post("/predict")
        def predict(x: float):
            if model is None:
                load()
            return model.predict(x)
        """,
    ),
    Shape(
        "a dead letter list cut to its size",
        (
            "FT101",
            "FT102",
        ),
        """
        DEAD = []
        def bury(message):
            global DEAD
            DEAD.append(message)
            if len(DEAD) > 100:
                DEAD = DEAD[-100:]
        """,
        """
        from collections import deque
        DEAD = deque(maxlen=100)
        def bury(message):
            DEAD.append(message)
        """,
    ),
    Shape(
        "a starlette middleware that limits per address",
        (
            "FT102",
            "FT101",
        ),
        """
        from starlette.middleware.base import BaseHTTPMiddleware
        class Limit(BaseHTTPMiddleware):
            def __init__(self, app, most=10):
                super().__init__(app)
                self.most = most
                self.running = {}
            async def dispatch(self, request, call_next):
                host = request.client.host
                self.running[host] = self.running.get(host, 0) + await weight(request)
                try:
                    return await call_next(request)
                finally:
                    self.running[host] -= 1
        """,
        """
        import asyncio
        from starlette.middleware.base import BaseHTTPMiddleware
        class Limit(BaseHTTPMiddleware):
            def __init__(self, app, most=10):
                super().__init__(app)
                self.most = most
                self.running = {}
                self.lock = asyncio.Lock()
            async def dispatch(self, request, call_next):
                host = request.client.host
                async with self.lock:
                    self.running[host] = self.running.get(host, 0) + await weight(request)
                try:
                    return await call_next(request)
                finally:
                    async with self.lock:
                        self.running[host] -= 1
        """,
    ),
]
