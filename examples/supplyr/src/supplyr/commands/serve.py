"""`serve`: the web front under uvicorn, or under granian where it is installed."""

import argparse
import asyncio
import os
import secrets
import socket
from importlib.util import find_spec
from typing import Any

import uvicorn

from supplyr.accounts import hash_password
from supplyr.db.opening import opened
from supplyr.seeding import seed_directory
from supplyr.settings import PREFIX, Settings, SettingsError
from supplyr.store import audit, suppliers, users

_APP = "supplyr.web.app:create_app"
_STANDSTILL_S = 30
_GRACE_S = 10
_ADMIN = "admin@supplyr.example"


def _variables() -> str:
    names = [f"  {PREFIX}{name.upper()}" for name in Settings.__dataclass_fields__]
    return "Settings by variable:\n" + "\n".join(names)


def add_parser(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "serve",
        help="serve pages and API",
        description="Serve pages and API.",
        epilog=_variables(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", type=int, default=8000, help="default: %(default)s; 0: any")
    parser.add_argument("--workers", type=int, default=1, help="server processes (default: 1)")
    parser.add_argument(
        "--server",
        choices=("uvicorn", "granian"),
        default="uvicorn",
        help="default: %(default)s; granian has to be installed",
    )
    parser.add_argument(
        "--with-data",
        type=int,
        metavar="N",
        help="fill an empty directory with N suppliers, and make an administrator",
    )
    parser.set_defaults(run=run)


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Serve until it is stopped."""
    if options.workers < 1:
        raise SettingsError(f"--workers {options.workers} must be 1 or more")
    if options.server == "granian" and find_spec("granian") is None:
        raise SettingsError("granian is not installed: pip install granian, or leave --server out")
    if options.with_data is not None:
        asyncio.run(_prepare(settings, options.with_data))
    # Server processes read the settings again, each by itself.
    os.environ[f"{PREFIX}DATA_DIR"] = str(settings.data_dir.absolute())
    os.environ[f"{PREFIX}DATABASE"] = settings.database
    if options.server == "granian":
        return _granian(options)
    config: dict[str, Any] = {
        "app": _APP,
        "factory": True,
        "host": options.host,
        "port": options.port,
        "workers": options.workers,
        "log_level": "warning",
        # X-Forwarded-For is read by supplyr.web.limits, as far as the settings trust it.
        "proxy_headers": False,
        "server_header": False,
        "timeout_graceful_shutdown": _GRACE_S,
    }
    if options.workers > 1:
        # The processes do not say when they listen, nor does uvicorn at this level.
        print(
            f"SUPPLYR: starting {options.workers} processes for"
            f" http://{options.host}:{options.port or '(any port)'}/",
            flush=True,
        )
        # A server process that does not answer in time is killed, with its requests and its jobs.
        # The five seconds that uvicorn gives it are too few where it starts beside heavy work.
        uvicorn.run(**config, timeout_worker_healthcheck=_STANDSTILL_S)
        return 0
    server = _Server(uvicorn.Config(**config))
    server.run()
    return 0 if server.started else 1


def _granian(options: argparse.Namespace) -> int:
    from granian import Granian
    from granian.constants import Interfaces
    from granian.log import LogLevels

    if options.port == 0:
        raise SettingsError("granian does not tell which port it was given; name one with --port")
    print(f"SUPPLYR: http://{options.host}:{options.port}/ (granian)", flush=True)
    Granian(
        _APP,
        address=options.host,
        port=options.port,
        interface=Interfaces.ASGI,
        factory=True,
        workers=options.workers,
        websockets=False,
        log_level=LogLevels.warning,
        workers_kill_timeout=_GRACE_S,
        respawn_failed_workers=True,
    ).serve()
    return 0


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
