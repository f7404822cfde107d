"""What is plugged into the app: routers, services that run beside requests, upload addresses.

To add a router: put it at the end of ROUTERS. API routers have the prefix /api/v1, so that errors
are problem+json there; pages have `include_in_schema=False`.
"""

import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

from fastapi import APIRouter

from supplyr.web import probes, static_files
from supplyr.web.api import duplicates, exports, images, imports, jobs, search, suppliers
from supplyr.web.context import Context
from supplyr.web.entry_check import EntryCheck
from supplyr.web.pages import about_api, account, admin, profile
from supplyr.web.pages import duplicates as duplicate_pages
from supplyr.web.pages import imports as import_pages
from supplyr.web.pages import jobs as job_pages
from supplyr.web.pages import search as search_pages
from supplyr.web.services import check_entry, cleaner, job_runner, ranker

Service: TypeAlias = Callable[[Context], AbstractAsyncContextManager[object]]

ROUTERS: tuple[APIRouter, ...] = (
    probes.router,
    static_files.router,
    search.router,
    suppliers.router,
    search_pages.router,
    profile.router,
    account.router,
    admin.router,
    about_api.router,
    jobs.router,
    imports.router,
    exports.router,
    duplicates.router,
    images.router,
    images.pictures,
    job_pages.router,
    import_pages.router,
    duplicate_pages.router,
)

# Entered in this order when the app starts, left in the opposite one when it stops.
SERVICES: tuple[Service, ...] = (job_runner, cleaner, ranker)

# Compares a supplier that was just saved with those that are there, in bounded time.
ENTRY_CHECK: Callable[[Context, int], Awaitable[EntryCheck]] | None = check_entry

# Whole paths whose bodies may be as large as SUPPLYR_MAX_UPLOAD_BYTES. They are read only where the
# sender is known, see guards/known_senders.py.
UPLOADS: tuple[re.Pattern[str], ...] = (
    re.compile(r"/api/v1/uploads"),
    re.compile(r"/imports"),
    re.compile(r"/api/v1/suppliers/[0-9]+/images"),
    re.compile(r"/suppliers/[0-9]+/images"),
)
