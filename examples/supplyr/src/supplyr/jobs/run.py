"""What the handler of a job gets: the job, what it may use, and steps that are done once."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from supplyr.db.database import Database, Transaction
from supplyr.jobs.background import Background
from supplyr.settings import Settings
from supplyr.store import job_records, jobs
from supplyr.store.jobs import Held

# Progress is for people: written no more often than they can see it.
_PROGRESS_EVERY_S = 0.25


class JobFailedError(Exception):
    """The job cannot be done, however often it is tried; the message is for who asked for it."""


@dataclass(slots=True)
class Step:
    """A step that is being done for good: its transaction, and what is to be kept of it."""

    transaction: Transaction
    outcome: Any = None


@dataclass(slots=True)
class Run:
    """One attempt at a job. owner: the task of its handler.

    Attributes:
        job: Which, with its payload.
        database, background, settings: What handlers may use.
        done: Outcomes of the steps that earlier attempts, or this one, have done for good.
    """

    job: Held
    database: Database
    background: Background
    settings: Settings
    done: dict[str, Any]
    _written_s: float = field(default=0.0)

    @property
    def folder(self) -> Path:
        """The job's own folder, for files that it needs until it is over."""
        return self.settings.data_dir / "jobs" / str(self.job.id)

    @asynccontextmanager
    async def step(self, name: str) -> AsyncGenerator[Step]:
        """Do something for good, once: the transaction of the block also notes the step.

        Check `name in run.done` first. The transaction ends badly, with NotYoursError, when this
        attempt does not hold the job any more, and with ConflictError when the step was done.
        """
        async with self.database.transaction() as transaction:
            await jobs.check_held(transaction, self.job)
            step = Step(transaction)
            yield step
            await job_records.add_step(transaction, self.job, name, step.outcome)
        self.done[name] = step.outcome

    async def progress(
        self, done: int, total: int | None, note: str = "", *, now: bool = False
    ) -> None:
        """Say how far the job is; may be called often, is written now and then."""
        moment_s = time.monotonic()
        if not now and moment_s - self._written_s < _PROGRESS_EVERY_S:
            return
        self._written_s = moment_s
        async with self.database.transaction() as transaction:
            await jobs.check_held(transaction, self.job)
            await jobs.set_progress(transaction, self.job.id, done, total, note)


# Does the job and returns its result (JSON). Raises JobFailedError where it cannot be done.
Handler: TypeAlias = Callable[[Run], Awaitable[dict[str, Any]]]
