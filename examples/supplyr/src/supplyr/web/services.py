"""What runs beside requests: jobs, and chores; and the check of entries as routes call it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from supplyr.jobs.background import Background
from supplyr.jobs.cleaning import cleaning
from supplyr.jobs.entry_check import check
from supplyr.jobs.ranking_schedule import ranking_now_and_then
from supplyr.jobs.registry import HANDLERS
from supplyr.jobs.runner import Runner
from supplyr.web.context import Context
from supplyr.web.entry_check import EntryCheck


@asynccontextmanager
async def cleaner(context: Context) -> AsyncGenerator[None]:
    """Delete old files now and then, where jobs run too."""
    if not context.settings.run_jobs:
        yield
        return
    async with cleaning(context.database, context.settings):
        yield


@asynccontextmanager
async def ranker(context: Context) -> AsyncGenerator[None]:
    """Ask for the ranking as often as the settings say, where jobs run too."""
    settings = context.settings
    if not settings.run_jobs or settings.rank_every_hours == 0:
        yield
        return
    async with ranking_now_and_then(context.database, settings.rank_every_hours, context.bell.ring):
        yield


@asynccontextmanager
async def job_runner(context: Context) -> AsyncGenerator[None]:
    """Run durable jobs for as long as the app runs, unless the settings leave them to others."""
    if not context.settings.run_jobs:
        yield
        return
    runner = Runner(
        context.database,
        Background(context.runtime),
        context.settings,
        HANDLERS,
        bell=context.bell,
    )
    async with runner.started():
        yield


async def check_entry(context: Context, supplier_id: int) -> EntryCheck:
    """Compare a supplier that was just saved, within `settings.duplicate_check_s`."""
    found = await check(
        context.database, context.runtime, supplier_id, context.settings.duplicate_check_s
    )
    return EntryCheck(found.verdict, found.suspected)
