"""A module that says it works in isolated interpreters, and does so once only, is found out."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.test_slots import (
    COMPILER,
    HAS_INTERPRETERS_SLOT,
    HEADER,
    MULTI_PHASE,
    build,
)

from lanewise.readiness.dependencies import own_gil_support, read_environment

pytestmark = pytest.mark.skipif(
    not HAS_INTERPRETERS_SLOT, reason="3.12 has the first interpreters with own locks"
)
OWN = "INTERPRETERS(Py_MOD_PER_INTERPRETER_GIL_SUPPORTED) GIL(Py_MOD_GIL_NOT_USED)"
RAISES = """
    static int times;
    if (times++) { PyErr_SetString(PyExc_ImportError, "once is enough"); return -1; }
"""
DIES = "static int times; if (times++) { *(volatile int *)0 = 0; }"


@pytest.mark.parametrize(
    ("name", "body", "allowed", "why"),
    [
        (
            "t_raises",
            RAISES,
            False,
            "only the first time in a process: ImportError: once is enough",
        ),
        ("t_dies", DIES, False, "SIGSEGV"),
        ("t_fine", "", True, None),
    ],
)
def test_a_second_interpreter_finds_what_the_first_left(
    tmp_path: Path, name: str, body: str, *, allowed: bool, why: str | None
) -> None:
    if COMPILER is None or not HEADER.exists():
        pytest.skip("no C compiler, or no headers of this interpreter")
    build(tmp_path / name, MULTI_PHASE.format(name=name, slots=OWN, body=body))
    interpreter = read_environment(search_path=(str(tmp_path),)).interpreter
    (support,) = own_gil_support(interpreter, [name])
    assert (support.source, support.allowed) == ("imported", allowed)
    assert why is None or why in str(support.reason)
