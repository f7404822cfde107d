"""Takes jobs and runs them, one of each kind at a time over all servers of a database.

One loop takes what is due and starts a task for it; beside each of these runs a heart, which renews
the lease, and ends the task when somebody asked for that or the job belongs to another by now.
"""

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

from lanewise import OverloadedError, WorkerDiedError

from supplyr.db.database import Database
from supplyr.jobs.background import Background
from supplyr.jobs.bell import Bell
from supplyr.jobs.owner import is_gone, this_owner
from supplyr.jobs.run import Handler, JobFailedError, Run
from supplyr.settings import Settings
from supplyr.store import job_records, jobs
from supplyr.store.job_life import NotYoursError
from supplyr.store.jobs import Held

LEASE_S = 20.0
_HEARTBEAT_S = 1.0
_RENEW_S = LEASE_S / 4
# How often to look for jobs that other processes added. Those of this one are told by `wake`.
_LOOK_EVERY_S = 1.0
_TROUBLE_S = 2.0
_log = logging.getLogger(__name__)


class Runner:
    """Runs jobs until it is left. Threads: belongs to its event loop, which owns its state."""

    def __init__(
        self,
        database: Database,
        background: Background,
        settings: Settings,
        handlers: Mapping[str, Handler],
        *,
        bell: Bell | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._background = background
        self._settings = settings
        self._handlers = handlers
        self._clock = clock
        self._owner = this_owner()
        self._bell = Bell() if bell is None else bell
        self._running: dict[int, asyncio.Task[None]] = {}
        # Jobs whose end somebody asked for: their tasks were cancelled because of that.
        self._asked: set[int] = set()
        # Jobs that belong to somebody else by now.
        self._lost: set[int] = set()

    def wake(self) -> None:
        """Look for jobs now: one was added, or a cancellation asked for."""
        self._bell.ring()

    @asynccontextmanager
    async def started(self) -> AsyncGenerator["Runner"]:
        """Run jobs inside the block. At its end they are stopped and given back."""
        loop = asyncio.create_task(self._loop(), name="job runner")
        try:
            yield self
        finally:
            loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await loop
            tasks = list(self._running.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _loop(self) -> None:
        while True:
            try:
                await self._look()
                pause_s = _LOOK_EVERY_S
            except Exception:
                # The database is away, say: the runner must outlive that.
                _log.exception("looking for jobs failed; trying again")
                pause_s = _TROUBLE_S
            await self._bell.wait(pause_s)

    async def _look(self) -> None:
        """Give back what others lost, and take whatever can run now."""
        for job_id in list(self._running):
            await self._check_asked(job_id)
        if not await self._anything():
            return
        async with self._database.transaction() as transaction:
            lost = await jobs.release_lost(transaction, self._clock(), self._is_gone)
        for job_id in lost:
            _log.warning("job %d had lost its runner", job_id)
        while True:
            async with self._database.transaction() as transaction:
                held = await jobs.take(
                    transaction, list(self._handlers), self._owner, self._clock(), LEASE_S
                )
            if held is None:
                return
            task = asyncio.create_task(self._run(held), name=f"job {held.id}")
            self._running[held.id] = task
            task.add_done_callback(partial(self._ended, held.id))

    def _ended(self, job_id: int, _task: asyncio.Task[None]) -> None:
        self._running.pop(job_id, None)
        self._asked.discard(job_id)
        self._lost.discard(job_id)
        self._bell.ring()  # the next one of its kind may start

    async def _anything(self) -> bool:
        """Whether there may be something to do: a read, so that nobody who writes has to wait."""
        row = await self._database.fetch_one(
            "SELECT id FROM jobs WHERE (state = 'queued' AND not_before_s <= ?)"
            " OR (state = 'running' AND coalesce(lease_owner, '') <> ?) LIMIT 1",
            (self._clock(), self._owner),
        )
        return row is not None

    def _is_gone(self, owner: str) -> bool:
        return owner != self._owner and is_gone(owner)

    async def _check_asked(self, job_id: int) -> None:
        row = await jobs.get(self._database, job_id)
        if row is not None and row["cancel_asked_at_s"] is not None:
            self._cancel(job_id, self._asked)

    def _cancel(self, job_id: int, why: set[int]) -> None:
        task = self._running.get(job_id)
        if task is not None and job_id not in self._asked and job_id not in self._lost:
            why.add(job_id)
            task.cancel()

    async def _run(self, held: Held) -> None:
        """Run one attempt to whatever end, and write that down."""
        heart = asyncio.create_task(self._heart(held), name=f"heart of job {held.id}")
        try:
            run = Run(
                held,
                self._database,
                self._background,
                self._settings,
                await job_records.steps_done(self._database, held.id),
            )
            result = await self._handlers[held.kind](run)
            async with self._database.transaction() as transaction:
                await jobs.finish(transaction, held, result)
        except asyncio.CancelledError:
            await asyncio.shield(self._interrupted(held))
            return
        except NotYoursError:
            _log.warning("job %d belongs to another runner by now", held.id)
            return
        except Exception as error:  # whatever a handler raises is the job's failure
            await self._failed(held, error)
        finally:
            heart.cancel()
        await self._tidied(held)

    async def _interrupted(self, held: Held) -> None:
        if held.id in self._lost:
            return
        with contextlib.suppress(NotYoursError):
            async with self._database.transaction() as transaction:
                if held.id in self._asked:
                    await jobs.end_cancelled(transaction, held)
                else:
                    await jobs.stop(transaction, held)
        if held.id in self._asked:
            await self._tidied(held)

    async def _failed(self, held: Held, error: Exception) -> None:
        for_good = isinstance(error, JobFailedError)
        if not for_good:
            _log.exception("attempt %d at job %d failed", held.attempt, held.id, exc_info=error)
        with contextlib.suppress(NotYoursError):
            async with self._database.transaction() as transaction:
                await jobs.fail(transaction, held, _words(error), for_good=for_good)

    async def _tidied(self, held: Held) -> None:
        """Tidy up to the end, also when the runner is stopped: nobody would do it later."""
        tidying = asyncio.create_task(self._tidy(held))
        while not tidying.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(tidying)
        tidying.result()

    async def _tidy(self, held: Held) -> None:
        """Remove the job's own folder once it is over; its outputs lie elsewhere."""
        row = await jobs.get(self._database, held.id)
        if row is not None and row["finished_at_s"] is not None:
            folder = self._settings.data_dir / "jobs" / str(held.id)
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _heart(self, held: Held) -> None:
        renewed_s = time.monotonic()
        while True:
            await asyncio.sleep(_HEARTBEAT_S)
            try:
                await self._check_asked(held.id)
                if time.monotonic() - renewed_s >= _RENEW_S:
                    async with self._database.transaction() as transaction:
                        await jobs.renew(transaction, held, self._clock(), LEASE_S)
                    renewed_s = time.monotonic()
            except NotYoursError:
                self._cancel(held.id, self._lost)
                return
            except Exception:
                # Until the lease runs out there is time for the database to come back.
                _log.exception("the lease of job %d could not be renewed", held.id)


def _words(error: Exception) -> str:
    """Return what is told to people: a job's own words, and little of anything else."""
    if isinstance(error, JobFailedError):
        return str(error)
    if isinstance(error, WorkerDiedError):
        return "The process that did the work died; it may have needed too much memory."
    if isinstance(error, OverloadedError):
        return "There was no room for the work."
    return f"Something went wrong ({type(error).__name__}); it has been noted in the server's log."
