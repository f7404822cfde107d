"""What follows from what was seen of a distribution."""

from __future__ import annotations

from typing import Any

import pytest

from lanewise.readiness.dependencies.binaries import ExtensionFile, SlowPath
from lanewise.readiness.dependencies.environment import Distribution, Interpreter, NativeFile
from lanewise.readiness.dependencies.gil_probe import ImportSite, LockRequirer
from lanewise.readiness.dependencies.index import FreeThreadedWheel
from lanewise.readiness.dependencies.slots import ModuleSlots
from lanewise.readiness.dependencies.verdicts import Evidence, Judgement, judge


def interpreter(*, free_threaded: bool) -> Interpreter:
    return Interpreter(
        python=None,
        executable="/opt/python",
        version="3.14.1",
        version_info=(3, 14),
        implementation="CPython",
        free_threaded=free_threaded,
        gil_enabled=not free_threaded,
        platform="linux-x86_64",
        extension_suffixes=(".so",),
        markers={},
        search_path=(),
    )


def slots(
    gil: Any, *, module: str = "pack._native", free_threaded: bool = True, **more: Any
) -> ModuleSlots:
    values: dict[str, Any] = {
        "module": module,
        "path": f"/site/{module}.so",
        "multi_phase": True,
        "gil": gil,
        "interpreters": "own_gil",
        "extension_module": True,
        "gil_is_lower_bound": not free_threaded,
        "reason": "as read",
    }
    return ModuleSlots(**{**values, **more})


def evidence(
    *declared: ModuleSlots, binary: bool = True, tags: tuple[str, ...] = (), **more: Any
) -> Evidence:
    names = [one.module for one in declared] or (["pack._native"] if binary else [])
    natives = tuple(NativeFile(name, f"/site/{name}.so", ".so", 1) for name in names)
    distribution = Distribution(
        name="pack",
        version="1.0",
        requires=(),
        extras=(),
        tags=tags,
        files_known=True,
        editable=False,
        location="/site",
        modules=("pack",),
        natives=natives,
        sources=(),
    )
    extensions = tuple(
        ExtensionFile(one.module, one.path, one.suffix, "any", 1, loadable=True) for one in natives
    )
    return Evidence(distribution, **{"extensions": extensions, "slots": declared, **more})


def verdict(found: Evidence, *, free_threaded: bool = True) -> Judgement:
    return judge(found, interpreter(free_threaded=free_threaded))


def wheel(here: str | None = None, other: str | None = None) -> FreeThreadedWheel:
    return FreeThreadedWheel("cp314t", here, other, None)


REQUIRER = LockRequirer("pack._native", "/site/x.so", (ImportSite("app.db", "/app/db.py", 29),))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (evidence(slots("not_used")), "ready"),
        (evidence(slots("used")), "brings_lock_back"),
        (evidence(slots("undeclared")), "brings_lock_back"),
        (evidence(slots("unknown")), "unknown"),
        (evidence(slots("not_used"), requirers=(REQUIRER,)), "brings_lock_back"),
        (evidence(slots("not_used"), slots("used", module="pack.tests._x")), "ready"),
        (evidence(slots("unknown", extension_module=False)), "ready"),
        (evidence(binary=False), "pure"),
        (evidence(binary=False, behind=("runtime",)), "facade"),
        (evidence(binary=False, absent=("runtime",)), "unknown"),
        (evidence(binary=False, slow_paths=(SlowPath("import", "a", "b", 1),)), "slow_path"),
        (evidence(slots("not_used"), slow_paths=(SlowPath("import", "a", "b", 1),)), "ready"),
        (evidence(slots("not_used"), wheel=wheel()), "no_free_threaded_wheel"),
        (evidence(slots("not_used"), wheel=wheel("pack-1.0-cp314-cp314t-x.whl")), "ready"),
        (evidence(binary=False, wheel=wheel()), "pure"),
    ],
)
def test_what_was_seen_decides(found: Evidence, expected: str) -> None:
    assert verdict(found).verdict == expected


@pytest.mark.parametrize(
    ("gil", "expected"),
    [("not_used", "ready"), ("used", "brings_lock_back"), ("undeclared", "unknown")],
)
def test_on_a_build_with_the_lock_silence_proves_nothing(gil: str, expected: str) -> None:
    found = evidence(slots(gil, free_threaded=False))
    assert verdict(found, free_threaded=False).verdict == expected


def test_the_import_that_led_to_it_is_told() -> None:
    judgement = verdict(evidence(slots("used"), requirers=(REQUIRER,)))
    assert judgement.reasons == ("pack._native switched the lock on, imported by /app/db.py:29",)
    assert "PYTHON_GIL=0" in str(judgement.advice)


def test_a_newer_release_with_a_wheel_is_advised() -> None:
    judgement = verdict(
        evidence(slots("unknown"), wheel=wheel(None, "pack-2.0-cp314-cp314t-x.whl"))
    )
    assert judgement.advice == "change to pack-2.0-cp314-cp314t-x.whl"


def test_files_for_another_interpreter_are_no_answer() -> None:
    foreign = ExtensionFile("pack._x", "/x.so", ".cpython-39.so", "cp39", 1, loadable=False)
    judgement = verdict(evidence(extensions=(foreign,)))
    assert judgement.verdict == "unknown"
    assert "built for another interpreter" in judgement.reasons[0]


def test_an_index_that_could_not_be_asked_decides_nothing() -> None:
    failed = FreeThreadedWheel("cp314t", None, None, "pip cannot be asked")
    assert verdict(evidence(slots("not_used"), wheel=failed)).verdict == "ready"
