"""`serve`: the web front under uvicorn."""

import argparse
import asyncio
import os
import secrets
import socket
from typing import Any

import uvicorn

from supplyr.accounts import hash_password
from supplyr.db.opening import opened
from supplyr.seeding import seed_directory
from supplyr.settings import PREFIX, Settings
from supplyr.store import audit, suppliers, users

_ADMIN = "admin@supplyr.example"


def _variables() -> str:
    names = [f"  {PREFIX}{name.upper()}" for name in Settings.__dataclass_fields__]
    return "Settings by variable:\n" + "\n".join(names)


def add_parser(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "serve",
        help="serve pages and API",
        description="Serve pages and API with uvicorn.",
        epilog=_variables(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", type=int, default=8000, help="default: %(default)s; 0: any")
    parser.add_argument("--workers", type=int, default=1, help="server processes (default: 1)")
    parser.add_argument(
        "--with-data",
        type=int,
        metavar="N",
        help="fill an empty directory with N suppliers, and make an administrator",
    )
    parser.set_defaults(run=run)


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Serve until it is stopped."""
    if options.with_data is not None:
        asyncio.run(_prepare(settings, options.with_data))
    # Server processes read the settings again, each by itself.
    os.environ[f"{PREFIX}DATA_DIR"] = str(settings.data_dir.absolute())
    os.environ[f"{PREFIX}DATABASE"] = settings.database
    config: dict[str, Any] = {
        "app": "supplyr.web.app:create_app",
        "factory": True,
        "host": options.host,
        "port": options.port,
        "workers": options.workers,
        "log_level": "warning",
        # X-Forwarded-For is read by supplyr.web.limits, as far as the settings trust it.
        "proxy_headers": False,
        "server_header": False,
        "timeout_graceful_shutdown": 10,
    }
    if options.workers > 1:
        uvicorn.run(**config)
        return 0
    server = _Server(uvicorn.Config(**config))
    server.run()
    return 0 if server.started else 1


class _Server(uvicorn.Server):
    """Says where it listens once it does: with port 0, the system chooses one."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for server in self.servers if self.started else ():
            for listening in server.sockets:
                host, port = listening.getsockname()[:2]
                shown = f"[{host}]" if ":" in host else host
                print(f"SUPPLYR: http://{shown}:{port}/", flush=True)


async def _prepare(settings: Settings, count: int) -> None:
    async with opened(settings) as database:
        if not await suppliers.count_active(database):
            print(f"filling the directory with {count:,} suppliers", flush=True)
            await seed_directory(database, count)
        if not await users.there_are_any(database):
            password = secrets.token_urlsafe(12)
            hashed = hash_password(password, settings.login_memory_kib)
            async with database.transaction() as transaction:
                user_id = await users.add(transaction, _ADMIN, "Admin", hashed, "admin")
                await audit.append(transaction, "system", "user.create", f"user:{user_id}")
            print(f"log in as {_ADMIN} with {password}", flush=True)
