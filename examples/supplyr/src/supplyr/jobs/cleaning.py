"""Delete uploads and exports that have had their time, and what killed servers left behind.

A row goes first, then its file: what is killed in between leaves a file that nobody names, and
those are deleted too once they are a day old.
"""

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path
from typing import NamedTuple

from supplyr.db.database import Database
from supplyr.jobs.files import resolved
from supplyr.jobs.periodic import now_and_then
from supplyr.settings import Settings
from supplyr.store import old_files

_DAY_S = 86_400.0
_EVERY_S = 3_600.0
# Younger ones may belong to a request that is writing them, before there is a row.
_STRAY_AGE_S = _DAY_S
_log = logging.getLogger(__name__)


class Cleaned(NamedTuple):
    """How much was deleted."""

    uploads: int
    exports: int
    strays: int


async def clean(database: Database, settings: Settings, now_s: float) -> Cleaned:
    """Delete what is too old at `now_s` (seconds since 1970).

    May run in several processes at once. Cancellation: what was deleted stays deleted.
    """
    async with database.transaction() as transaction:
        uploads = await old_files.forget_uploads(
            transaction, now_s - _DAY_S * settings.keep_uploads_days
        )
        exports = await old_files.forget_exports(
            transaction, now_s - _DAY_S * settings.keep_exports_days, now_s
        )
    await asyncio.to_thread(_delete, settings.data_dir, [*uploads, *exports])
    # Looked at before the rows: a file that appears in between is younger than a day anyway.
    before_s = now_s - _STRAY_AGE_S
    old = await asyncio.to_thread(_older, settings.data_dir, before_s)
    known = await old_files.known(database)
    unfinished = {f"jobs/{job}" for job in await old_files.unfinished_jobs(database)}
    strays = [path for path in old if path not in known and path not in unfinished]
    await asyncio.to_thread(_delete, settings.data_dir, strays)
    return Cleaned(len(uploads), len(exports), len(strays))


@contextlib.asynccontextmanager
async def cleaning(database: Database, settings: Settings) -> AsyncGenerator[None]:
    """Clean once an hour inside the block; what goes wrong is logged and tried again."""

    async def once() -> None:
        cleaned = await clean(database, settings, time.time())
        if any(cleaned):
            _log.info("deleted old files: %s", cleaned)

    failed = "old files could not be deleted; trying again within two hours"
    async with now_and_then(once, _EVERY_S, "cleaning", failed):
        yield


def _older(data_dir: Path, before_s: float) -> list[str]:
    """Return what in the folders of the product was last changed before a moment."""
    found: list[str] = []
    for folder in ("uploads", "exports", "scratch", "jobs"):
        where = data_dir / folder
        for entry in where.iterdir() if where.is_dir() else ():
            with contextlib.suppress(OSError):  # gone by now
                if entry.lstat().st_mtime < before_s:
                    found.append(f"{folder}/{entry.name}")
    return found


def _delete(data_dir: Path, paths: Iterable[str]) -> None:
    for path in paths:
        target = resolved(data_dir, path)
        if target.is_dir():
            shutil.rmtree(target, ignore_errors=True)
        else:
            target.unlink(missing_ok=True)
