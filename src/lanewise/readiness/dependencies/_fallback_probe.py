"""Find optional native modules that are not there. Stdlib only; nothing is imported.

Runs in a child process of the interpreter that the files are for, whose grammar they have. Many
libraries write ``try: from ._speedups import x`` / ``except ImportError:`` and go on in pure Python.
Where the module is missing the library works, only slower, and nothing says so. Others compile modules
with Cython whose ``.py`` also runs as it stands; these ask ``cython.compiled``.
"""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import importlib.util
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

# The folders of each top-level package.
Roots = dict[str, list[str]]

SUFFIXES = (".py", ".so", ".pyd")
# Parts of names that libraries give their native modules. A missing module of another name may as
# well be generated code, such as _version.
NATIVE_WORDS = (
    "speedup",
    "accel",
    "native",
    "cython",
    "rust",
    "cext",
    "_ext",
    "cimpl",
    "upb",
    "_cy",
)
NATIVE_ENDINGS = ("_c", "_lib", "_cpp", "_fast")
SOURCES = (".pyx", ".c", ".cpp", ".rs", ".pxd", ".pyi")
FORGIVEN = {"ImportError", "ModuleNotFoundError", "Exception"}
NOT_SHIPPED_CODE = ("tests", "test", "testing", "__pycache__", "..")
IMPORTS_CYTHON = re.compile(rb"^\s*(import|from) cython\b", re.MULTILINE)
# Larger files are generated tables, and take seconds to parse.
MOST_BYTES = 2_000_000


def prepare(_options: dict[str, Any]) -> dict[str, Any]:
    """Nothing to prepare."""
    return {}


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Scan one distribution: ``{"name": "aiohttp", "modules": ["aiohttp"]}``."""
    roots = {name: locations(name) for name in question["modules"]}
    found = []
    for package, path in python_files(question["name"], roots):
        found += scan_file(package, path, roots)
    return {"missing": found}


def locations(name: str) -> list[str]:
    """The folders of a top-level package; none for a module."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return []
    return list((spec and spec.submodule_search_locations) or [])


def python_files(name: str, roots: Roots) -> Iterator[tuple[str, str]]:
    """``(package, path)`` of the distribution's Python files: as listed, else below its packages."""
    listed = importlib.metadata.distribution(name).files or []
    files = [(file.parts, str(file.locate())) for file in listed if file.suffix == ".py"]
    if not files:
        for top, folders in roots.items():
            for root in folders:
                found = Path(root).rglob("*.py")
                files += [((top, *one.relative_to(root).parts), str(one)) for one in found]
    for parts, path in files:
        if not any(part in NOT_SHIPPED_CODE for part in parts):
            yield ".".join(parts[:-1]), path


def scan_file(package: str, path: str, roots: Roots) -> list[dict[str, Any]]:
    """The native modules that a file tries for, or should itself be, and that are missing."""
    try:
        if Path(path).stat().st_size > MOST_BYTES:
            return []
        text = Path(path).read_bytes()
    except OSError:
        return []
    found = []
    top, *below = package.split(".")
    if b"cython.compiled" in text and IMPORTS_CYTHON.search(text) and top in roots:
        own = [*below, Path(path).stem]
        if not has_binary(own, roots[top]):
            name = ".".join([top, *own])
            found.append({"module": name, "path": path, "line": 1, "why": "compiled"})
    # Parsing is what takes long, and few files have such an import.
    if b"ImportError" in text or b"ModuleNotFoundError" in text:
        found += scan_tree(package, path, parse(text), roots)
    return found


def parse(text: bytes) -> ast.Module:
    """The tree, empty for what this interpreter cannot read."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return ast.Module([], [])


def scan_tree(package: str, path: str, tree: ast.Module, roots: Roots) -> list[dict[str, Any]]:
    """The imports that a ``try`` forgives."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Try) or not any(map(forgives, node.handlers)):
            continue
        for wanted, line in imports(node.body, package):
            top, *relative = wanted.split(".")
            missing = missing_native(relative, roots.get(top, []))
            if missing:
                name = ".".join([top, *missing])
                found.append({"module": name, "path": path, "line": line, "why": "import"})
    return found


def forgives(handler: ast.ExceptHandler) -> bool:
    """Whether a handler catches a missing module, and does not raise in its turn."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {getattr(kind, "id", getattr(kind, "attr", "")) for kind in kinds if kind}
    catches = handler.type is None or bool(names & FORGIVEN)
    return catches and not any(isinstance(one, ast.Raise) for one in handler.body)


def imports(body: list[ast.stmt], package: str) -> Iterator[tuple[str, int]]:
    """Absolute names that statements may import as modules, with their lines."""
    for statement in body:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                yield alias.name, statement.lineno
        elif isinstance(statement, ast.ImportFrom):
            base = absolute(statement, package)
            if base is not None:
                for alias in statement.names:
                    yield (base if alias.name == "*" else f"{base}.{alias.name}"), statement.lineno


def absolute(statement: ast.ImportFrom, package: str) -> str | None:
    """What ``from ..x`` means inside a package; None outside of one."""
    if not statement.level:
        return statement.module
    parts = package.split(".") if package else []
    if statement.level > len(parts):
        return None
    kept = parts[: len(parts) - statement.level + 1]
    return ".".join([*kept, *([statement.module] if statement.module else [])])


def missing_native(relative: Sequence[str], roots: Sequence[str]) -> Sequence[str] | None:
    """The part of a name below its package that stands for a native module and is not there.

    ``b.c`` may be the module ``b.c`` or a name inside the module ``b``: the first part that is not
    there is the module in question.
    """
    for count in range(1, len(relative) + 1):
        parts = relative[:count]
        if is_package(parts, roots):
            continue
        if exists(parts, roots):
            return None
        if count == len(relative) and parts[-1] in bound_names(tuple(parts[:-1]), tuple(roots)):
            return None
        return parts if roots and looks_native(parts, roots) else None
    return None


def exists(
    parts: Sequence[str], roots: Iterable[str], suffixes: tuple[str, ...] = SUFFIXES
) -> bool:
    """Whether a module or a binary of that name is there."""
    for root in roots:
        names = listing(Path(root, *parts[:-1]))
        if any(one.startswith(parts[-1] + ".") and one.endswith(suffixes) for one in names):
            return True
    return False


def has_binary(parts: Sequence[str], roots: Iterable[str]) -> bool:
    """Whether a binary of that name is there."""
    return exists(parts, roots, SUFFIXES[1:])


@functools.cache
def listing(folder: Path) -> tuple[str, ...]:
    """The names in a folder."""
    try:
        return tuple(one.name for one in folder.iterdir())
    except OSError:
        return ()


def is_package(parts: Sequence[str], roots: Iterable[str]) -> bool:
    """Whether a folder of that name is there."""
    return any(Path(root, *parts).is_dir() for root in roots)


@functools.cache
def bound_names(package: tuple[str, ...], roots: tuple[str, ...]) -> frozenset[str]:
    """The names that a package's ``__init__`` binds otherwise than by importing its own modules."""
    found: set[str] = set()
    for root in roots:
        try:
            tree = parse(Path(root, *package, "__init__.py").read_bytes())
        except OSError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                found.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            elif isinstance(node, ast.ImportFrom) and (node.module or not node.level):
                found |= {alias.asname or alias.name for alias in node.names}
    return frozenset(found)


def looks_native(parts: Sequence[str], roots: Iterable[str]) -> bool:
    """By its name, or by a source or stub of an extension module that lies in its place."""
    for root in roots:
        if any(Path(root, *parts[:-1], parts[-1] + suffix).exists() for suffix in SOURCES):
            return True
    last = parts[-1].lower()
    return last.endswith(NATIVE_ENDINGS) or any(word in last for word in NATIVE_WORDS)
