"""Durable jobs: work that outlives the request, the worker and the server.

::

    owner.py       who runs a job, and whether that process is gone
    background.py  heavy functions at low priority, patient where lanes are full
    run.py         what a handler gets: its job, steps that are done once, progress
    registry.py    kinds of jobs and their handlers
    runner.py      takes jobs, runs one of a kind at a time, renews leases; a service of the app
    submit.py      adds jobs: idempotency keys
    files.py       where uploads and exports lie
    imports.py, exports.py, duplicates.py, ranking.py   the handlers
"""
