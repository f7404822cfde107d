"""Is what a project depends on ready to run without the lock?

::

    from lanewise.readiness.dependencies import audit_dependencies, render_text

    report = audit_dependencies(["fastapi[standard]"], python="/opt/python3.14t/bin/python")
    print(render_text(report))
    json.dumps(report.as_dict())
    raise SystemExit(1 if report.problems else 0)

``audit_dependencies`` looks at the closure of installed distributions (``closure.py``), at which of
them are binary, fronts of binary ones, or slower here than elsewhere (``binaries.py``), at what their
extension modules declare (``slots.py``), at what really switches the lock on (``gil_probe.py``), and, if
asked, at what interpreters with a lock of their own may import (``interpreters_probe.py``) and at what
pip's index has (``index.py``). Each of these can be called alone. What may crash runs in a child.

It needs the package ``packaging``: ``pip install 'lanewise[audit]'``. Importing this package does not.
"""

from lanewise.readiness.dependencies.closure import Closure, find_closure, project_requirements
from lanewise.readiness.dependencies.environment import (
    Distribution,
    Environment,
    Interpreter,
    read_environment,
)
from lanewise.readiness.dependencies.gil_probe import GilProbeResult, LockRequirer, probe_gil
from lanewise.readiness.dependencies.interpreters_probe import OwnGilSupport, own_gil_support
from lanewise.readiness.dependencies.report import (
    DependencyReport,
    DistributionReport,
    audit_dependencies,
)
from lanewise.readiness.dependencies.slots import Calibration, ModuleSlots, calibrate, read_slots
from lanewise.readiness.dependencies.text import render_text

__all__ = [
    "Calibration",
    "Closure",
    "DependencyReport",
    "Distribution",
    "DistributionReport",
    "Environment",
    "GilProbeResult",
    "Interpreter",
    "LockRequirer",
    "ModuleSlots",
    "OwnGilSupport",
    "audit_dependencies",
    "calibrate",
    "find_closure",
    "own_gil_support",
    "probe_gil",
    "project_requirements",
    "read_environment",
    "read_slots",
    "render_text",
]
