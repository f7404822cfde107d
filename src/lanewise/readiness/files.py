"""Which files an audit reads, and reading them."""

from __future__ import annotations

import ast
import os
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lanewise.errors import AuditError

_SKIPPED = frozenset(
    {
        "__pycache__", "build", "dist", "node_modules", "site-packages", "venv", "env", "virtualenv",
        "__pypackages__",
    }
)  # fmt: skip
_TEST_DIRECTORIES = frozenset({"test", "tests"})


@dataclass(frozen=True, slots=True)
class Source:
    """One file.

    Attributes:
        path: Where it is.
        relative: Relative to the audited directory, with forward slashes.
        text: Its content, decoded as its first lines declare; empty where it could not be read.
        tree: Its syntax tree, or None where it could not be read.
        problem: Why it could not be read, or None.
        problem_line: The line of the problem.
    """

    path: Path
    relative: str
    text: str
    tree: ast.Module | None
    problem: str | None = None
    problem_line: int = 1


def find_files(path: Path, *, include_tests: bool) -> tuple[Path, list[Path]]:
    """Return the root that names are relative to, and every Python file below a path, sorted.

    Virtual environments, hidden directories, caches and build products are left out, and test files
    unless they are asked for. A file that is named itself is always taken.

    Raises:
        AuditError: The path does not exist, or there is no Python file.
    """
    if path.is_file():
        return path.parent, [path]
    if not path.is_dir():
        raise AuditError(
            f"{path} does not exist: give a Python file, or the directory of a project"
        )
    found = sorted(_walk(path, include_tests=include_tests))
    if not found:
        but = "" if include_tests else " (test files are left out; --include-tests takes them in)"
        raise AuditError(f"{path} holds no Python file{but}: give the directory of the sources")
    return path, found


def _walk(root: Path, *, include_tests: bool) -> Iterator[Path]:
    for directory, directories, names in os.walk(root):
        here = Path(directory)
        directories[:] = [
            name
            for name in directories
            if _wanted_directory(here / name, name, include_tests=include_tests)
        ]
        for name in names:
            if name.endswith(".py") and (include_tests or not _is_test(name)):
                file = here / name
                if file.is_file():  # not a broken link, a pipe or a device
                    yield file


def _wanted_directory(path: Path, name: str, *, include_tests: bool) -> bool:
    if name.startswith(".") or name in _SKIPPED or name.endswith(".egg-info"):
        return False
    if not include_tests and name in _TEST_DIRECTORIES:
        return False
    return not (path / "pyvenv.cfg").exists()


def _is_test(name: str) -> bool:
    return (
        name.startswith("test_") or name.endswith("_test.py") or name in ("conftest.py", "tests.py")
    )


def printable(name: str) -> str:
    """Return a file's name so that it can be printed and written, where it is not UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")


def read_source(path: Path, root: Path) -> Source:
    """Read and parse one file. What is wrong with it is told, never raised."""
    relative = printable(path.relative_to(root).as_posix())
    try:
        with tokenize.open(path) as file:
            text = file.read()
    except (OSError, SyntaxError, UnicodeError, LookupError) as error:
        return Source(path, relative, "", None, f"it cannot be read: {error}")
    try:
        with warnings.catch_warnings():
            # Invalid escapes and the like: the interpreter tells them, not an audit of threads.
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except SyntaxError as error:
        reason = f"this Python cannot parse it: {error.msg}"
        return Source(path, relative, text, None, reason, error.lineno or 1)
    except (ValueError, RecursionError, MemoryError) as error:
        reason = str(error) or type(error).__name__
        return Source(path, relative, text, None, f"this Python cannot parse it: {reason}")
    return Source(path, relative, text, tree)
