"""Saving waits for the duplicate check no longer than was said, and never fails because of it."""

import asyncio
from dataclasses import replace

import pytest
from fastapi import FastAPI
from lanewise import OverloadedError

from supplyr.web.context import Context
from supplyr.web.entry_check import EntryCheck, checked_on_entry

from .people import context_of


async def test_what_takes_too_long_or_finds_no_room_stays_unchecked(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = context_of(app)
    hurried = replace(context, settings=replace(context.settings, duplicate_check_s=0.01))
    ended = asyncio.Event()

    async def never(_context: Context, _supplier_id: int) -> EntryCheck:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    async def full(_context: Context, _supplier_id: int) -> EntryCheck:
        raise OverloadedError("full", retry_after_s=1.0)

    async def finds(_context: Context, supplier_id: int) -> EntryCheck:
        return EntryCheck("suspected", [supplier_id + 1])

    monkeypatch.setattr("supplyr.web.plugged.ENTRY_CHECK", None)
    assert await checked_on_entry(context, 1) == EntryCheck("unchecked", [])
    for check in (never, full):
        monkeypatch.setattr("supplyr.web.plugged.ENTRY_CHECK", check)
        assert await checked_on_entry(hurried, 1) == EntryCheck("unchecked", [])
    assert ended.is_set()
    monkeypatch.setattr("supplyr.web.plugged.ENTRY_CHECK", finds)
    assert await checked_on_entry(context, 1) == EntryCheck("suspected", [2])
