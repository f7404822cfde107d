"""Whether a supplier that was just saved is a duplicate: asked of whoever is plugged in."""

import asyncio
import logging
from typing import Literal, NamedTuple

from lanewise import LanewiseError

from supplyr.db.database import DatabaseError
from supplyr.web.context import Context

_log = logging.getLogger(__name__)


class EntryCheck(NamedTuple):
    """What was found in the time that there was."""

    verdict: Literal["unchecked", "clear", "suspected"]
    suspected: list[int]


async def checked_on_entry(context: Context, supplier_id: int) -> EntryCheck:
    """Check a saved supplier, within `settings.duplicate_check_s`; else it stays "unchecked".

    Never raises because of time or load: the supplier is saved already.
    """
    # Imported here: what is plugged in may import routers, which import this module.
    from supplyr.web.plugged import ENTRY_CHECK

    if ENTRY_CHECK is None:
        return EntryCheck("unchecked", [])
    try:
        async with asyncio.timeout(context.settings.duplicate_check_s):
            return await ENTRY_CHECK(context, supplier_id)
    except (TimeoutError, LanewiseError, DatabaseError) as error:
        _log.info("supplier %s stays unchecked: %s", supplier_id, error or "no time was left")
        return EntryCheck("unchecked", [])
