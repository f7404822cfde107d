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
from supplyr.web.api import search, suppliers
from supplyr.web.context import Context
from supplyr.web.entry_check import EntryCheck
from supplyr.web.pages import about_api, account, admin, profile
from supplyr.web.pages import search as search_pages

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
)

# Entered in this order when the app starts, left in the opposite one when it stops.
SERVICES: tuple[Service, ...] = ()

# Compares a supplier that was just saved with those that are there, in bounded time.
ENTRY_CHECK: Callable[[Context, int], Awaitable[EntryCheck]] | None = None

# Whole paths whose bodies may be as large as SUPPLYR_MAX_UPLOAD_BYTES.
UPLOADS: tuple[re.Pattern[str], ...] = ()
