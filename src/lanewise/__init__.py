"""lanewise: the GIL as a design parameter of Python backends.

How the library is laid out, from what everything rests on upwards (imports go this way only)::

    errors.py      every exception, drawn as a tree
    model/         frozen values with units, and the protocols (Lane): no side effects
    host/          facts about interpreter and machine; where the lock word is
    plan/          costs + host facts -> routes; pure decisions, and the plan file
    measuring/     a bench process, a sampler, statistics, break-even search, the report page
    lanes/         event_loop, thread, process, interpreter, cluster: a file or folder a place to run
    runtime/       Runtime, routing, admission, statistics: the only owner of state
    diagnose/      looks at a running program from outside: session, shares, stalls, advice, reports
    readiness/     the audit: what threads that really run at once would break in a project
    web/           middleware, lifespans, metrics and a live page for web services
    cli/           one file a verb

``_lanewise_worker`` beside this package is what runs in worker processes.
"""

from _lanewise_worker.deadline import deadline
from lanewise.diagnose.watch import watch
from lanewise.errors import (
    AuditError,
    DiagnoseError,
    LaneUnavailableError,
    LanewiseError,
    MeasureError,
    NotPortableError,
    OverloadedError,
    PlanError,
    TaskTimeoutError,
    WorkerDiedError,
)
from lanewise.model.task import Task, task
from lanewise.plan.document import Plan
from lanewise.runtime.active import run
from lanewise.runtime.executor import Executor
from lanewise.runtime.runtime import Runtime

__all__ = [
    "AuditError",
    "DiagnoseError",
    "Executor",
    "LaneUnavailableError",
    "LanewiseError",
    "MeasureError",
    "NotPortableError",
    "OverloadedError",
    "Plan",
    "PlanError",
    "Runtime",
    "Task",
    "TaskTimeoutError",
    "WorkerDiedError",
    "deadline",
    "run",
    "task",
    "watch",
]
