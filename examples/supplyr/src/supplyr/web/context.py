"""What every request finds at its app: settings, database, lanes, signatures, limits."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from lanewise import Runtime
from starlette.requests import HTTPConnection

from supplyr.auth.passwords import Passwords
from supplyr.auth.rate_limit import RateLimiter
from supplyr.auth.signing import Signer
from supplyr.db.database import Database
from supplyr.jobs.bell import Bell
from supplyr.kept import Kept
from supplyr.search.engine import Engine
from supplyr.settings import Settings

STATE_KEY = "supplyr"
_EXPORTS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Context:
    """Made when the app starts; owner of its parts: the app's lifespan.

    Attributes:
        settings: As the operator set them.
        database: Opened and migrated.
        runtime: Where every heavy function runs: `await context.runtime.run(task, ...)`.
        search: Answers questions.
        signer: Signs cursors and form tokens.
        passwords: Checks and hashes them, a few at a time.
        pictures: What pages show of the whole directory, kept for some minutes.
        limiter: How often one client may ask.
        bell: Rung by who adds a job, or asks for its end.
        exports: Places for those that are written in a request: each takes a worker meanwhile.
    """

    settings: Settings
    database: Database
    runtime: Runtime
    search: Engine
    signer: Signer
    passwords: Passwords
    pictures: Kept[Any]
    limiter: RateLimiter
    bell: Bell = field(default_factory=Bell)
    exports: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_EXPORTS_AT_ONCE))


def context_of(connection: HTTPConnection) -> Context:
    """Return the context of the app that serves a request."""
    context = getattr(connection.app.state, STATE_KEY, None)
    if not isinstance(context, Context):
        raise RuntimeError("SUPPLYR has not started: the server must send lifespan events")
    return context
