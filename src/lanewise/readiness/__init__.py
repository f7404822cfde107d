"""Is a project ready for threads that really run at once?

What an audit goes through, from what everything rests on upwards::

    findings, files, syntax      values; which files; small questions about trees
    modules, kinds               what a file defines; what names are bound to
    project, shared              names across modules; which expressions threads share
    locks, references            which locks are held where; who calls whom, and when
    entry_points, reach          where threads, tasks and requests begin, and what they come to
    changes, checks, values      changes in place; checks and what they lead to; what values are worth
    context, rules/              all of it together; one file a rule
    suppressions, baseline       what is not told
    audit, sarif, explain        the report, for people and machines
    stress/                      what was found, run: tests in threads, two calls under schedules

Nothing of the audited project is imported or run, but by ``stress``, which is asked for by name.
"""

from lanewise.readiness.audit import AuditOptions, AuditReport, audit_project
from lanewise.readiness.findings import Finding

__all__ = ["AuditOptions", "AuditReport", "Finding", "audit_project"]
