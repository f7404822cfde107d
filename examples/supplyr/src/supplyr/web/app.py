"""The app factory: middleware, errors, routers, and what lives as long as the app."""

import asyncio
import gc
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import FastAPI
from lanewise.web import LanewiseMiddleware, lifespan, runtime_of

from supplyr import __version__
from supplyr.auth.passwords import Passwords
from supplyr.auth.rate_limit import RateLimiter
from supplyr.auth.signing import Signer, secret_key
from supplyr.db.opening import opened
from supplyr.kept import Kept
from supplyr.search.engine import Engine
from supplyr.seeding import put_codes
from supplyr.settings import Settings, from_environment
from supplyr.web.comparison import built
from supplyr.web.context import STATE_KEY, Context
from supplyr.web.errors import add_handlers
from supplyr.web.guards.body_limit import BodyLimit
from supplyr.web.guards.headers import SecurityHeaders
from supplyr.web.guards.known_senders import KnownSenders
from supplyr.web.guards.methods import Methods
from supplyr.web.pages import lanes
from supplyr.web.plugged import ROUTERS, SERVICES, UPLOADS
from supplyr.web.rendering import warm
from supplyr.web.supervised import ends_with_supervisor

_PICTURES_KEPT_S = 300.0
_PICTURES = 20
_ABOUT = """Find suppliers, and keep the directory.

Reading needs no account. Changes need an API key: `Authorization: Bearer sk_...`. Errors are
`application/problem+json`. Lists are paged by `cursor`: pass the `next_cursor` of the page before.
"""


def create_app(settings: Settings | None = None) -> FastAPI:
    """Make the app.

    Args:
        settings: None reads them from the environment, so that `uvicorn --factory
            supplyr.web.app:create_app` works.

    Raises:
        SettingsError: A setting has a value that it cannot have.
    """
    chosen = from_environment() if settings is None else settings

    @asynccontextmanager
    async def inner(app: FastAPI) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            if settings is None:
                await stack.enter_async_context(ends_with_supervisor())
            database = await stack.enter_async_context(opened(chosen))
            await put_codes(database)
            runtime = await stack.enter_async_context(built(chosen.build, runtime_of(app)))
            signer = Signer(secret_key(chosen))
            search = Engine(database, runtime, signer)
            stack.push_async_callback(search.close)
            pictures: Kept[Any] = Kept(_PICTURES_KEPT_S, _PICTURES, old_for_s=_PICTURES_KEPT_S)
            stack.push_async_callback(pictures.close)
            context = Context(
                settings=chosen,
                database=database,
                runtime=runtime,
                search=search,
                signer=signer,
                passwords=Passwords(
                    runtime,
                    memory_kib=chosen.login_memory_kib,
                    at_once=chosen.logins_at_once,
                    wait_s=chosen.queue_timeout_s,
                ),
                pictures=pictures,
                limiter=RateLimiter(),
            )
            setattr(app.state, STATE_KEY, context)
            # Now, and not on the event loop while others wait for it.
            await asyncio.to_thread(app.openapi)
            await asyncio.to_thread(warm)
            if settings is None:
                # A server of its own: what is there now stays, and no collection walks over it
                # while requests wait. Elsewhere (in tests, say) the process may outlive the app.
                gc.collect()
                gc.freeze()
            for service in SERVICES:
                await stack.enter_async_context(service(context))
            yield

    app = FastAPI(
        title="SUPPLYR",
        version=__version__,
        description=_ABOUT,
        lifespan=lifespan(
            inner=inner,
            plan=chosen.plan,
            processes=chosen.processes,
            queue_timeout_s=chosen.queue_timeout_s,
            start_method=chosen.start_method,
            worker_memory_bytes=chosen.worker_memory_bytes,
            max_calls_per_worker=chosen.calls_per_worker,
            # A check with a deadline of 300 ms must not spend it on imports.
            preload=["supplyr.tasks"],
        ),
        openapi_url="/api/v1/openapi.json",
        # Their pages load scripts from elsewhere; /api is ours.
        docs_url=None,
        redoc_url=None,
        # Such a redirect would lead to whatever host the request named.
        redirect_slashes=False,
    )
    add_handlers(app)
    for router in ROUTERS:
        app.include_router(router)
    lanes.mount(app)
    # The last one added is the outermost: headers, methods, size, who sends files, then overload
    # and disconnects.
    app.add_middleware(LanewiseMiddleware)
    app.add_middleware(KnownSenders, uploads=UPLOADS)
    app.add_middleware(
        BodyLimit,
        max_bytes=chosen.max_body_bytes,
        max_upload_bytes=chosen.max_upload_bytes,
        uploads=UPLOADS,
    )
    app.add_middleware(Methods, routers=ROUTERS)
    app.add_middleware(SecurityHeaders, https_only=chosen.cookie_secure)
    return app
