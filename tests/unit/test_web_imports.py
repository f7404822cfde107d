"""What importing costs: nobody who does not serve the web pays for it, and no framework is wanted."""

from __future__ import annotations

import subprocess
import sys

import pytest

FRAMEWORKS = {"starlette", "fastapi", "litestar", "opentelemetry", "django", "flask", "anyio"}


def imported(statement):
    """The modules that are there after a statement, in an interpreter of its own."""
    program = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    return set(done.stdout.split())


def test_the_library_does_not_import_its_web_front():
    assert not any(name.startswith("lanewise.web") for name in imported("import lanewise"))


@pytest.mark.parametrize(
    "statement",
    [
        "import lanewise.web",
        "import lanewise.web as w; w.lifespan(); w.dashboard(); w.LanewiseMiddleware(print)",
    ],
)
def test_the_web_front_imports_no_framework(statement):
    assert not imported(statement) & FRAMEWORKS


def test_all_that_is_promised_is_there():
    import lanewise.web as front  # noqa: PLC0415 - because: the names of the module itself are meant

    assert all(hasattr(front, name) for name in front.__all__)
    assert front.__all__ == sorted(front.__all__)
