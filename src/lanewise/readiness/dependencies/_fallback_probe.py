"""Find optional native modules that are not there. Stdlib only; nothing is imported.

Runs in a child process of the interpreter that the files are for, whose grammar they have. Many
libraries write ``try: from ._speedups import x`` / ``except ImportError:`` and go on in pure Python.
Where the module is missing the library works, only slower, and nothing says so. Others compile modules
with Cython whose ``.py`` also runs as it stands; these ask ``cython.compiled``.
"""

import ast
import functools
import importlib.metadata
import importlib.util
import os
import re

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


def prepare(options):
    """Nothing to prepare."""
    return {}


def answer(question):
    """Scan one distribution: ``{"name": "aiohttp", "modules": ["aiohttp"]}``."""
    roots = {name: locations(name) for name in question["modules"]}
    found = []
    for package, path in python_files(question["name"], roots):
        found += scan_file(package, path, roots)
    return {"missing": found}


def locations(name):
    """The folders of a top-level package; none for a module."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return []
    return list((spec and spec.submodule_search_locations) or [])


def python_files(name, roots):
    """``(package, path)`` of the distribution's Python files: as listed, else below its packages."""
    listed = importlib.metadata.distribution(name).files or []
    files = [(list(file.parts), str(file.locate())) for file in listed if file.suffix == ".py"]
    if not files:
        for top, folders in roots.items():
            for root in folders:
                for folder, _, names in os.walk(root):
                    parts = [top, *os.path.relpath(folder, root).split(os.sep)]
                    parts = [part for part in parts if part != "."]
                    files += [
                        ([*parts, one], os.path.join(folder, one))
                        for one in names
                        if one.endswith(".py")
                    ]
    for parts, path in files:
        if not any(part in NOT_SHIPPED_CODE for part in parts):
            yield ".".join(parts[:-1]), path


def scan_file(package, path, roots):
    """The native modules that a file tries for, or should itself be, and that are missing."""
    try:
        if os.path.getsize(path) > MOST_BYTES:
            return []
        with open(path, "rb") as file:
            text = file.read()
    except OSError:
        return []
    found = []
    if (
        b"cython.compiled" in text
        and IMPORTS_CYTHON.search(text)
        and package.split(".")[0] in roots
    ):
        own = [*package.split(".")[1:], os.path.basename(path)[: -len(".py")]]
        if not has_binary(own, roots[package.split(".")[0]]):
            name = ".".join([package, own[-1]])
            found.append({"module": name, "path": path, "line": 1, "why": "compiled"})
    # Parsing is what takes long, and few files have such an import.
    if b"ImportError" in text or b"ModuleNotFoundError" in text:
        found += scan_tree(package, path, parse(text), roots)
    return found


def parse(text):
    """The tree, empty for what this interpreter cannot read."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return ast.Module([], [])


def scan_tree(package, path, tree, roots):
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


def forgives(handler):
    """Whether a handler catches a missing module, and does not raise in its turn."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {getattr(kind, "id", getattr(kind, "attr", "")) for kind in kinds if kind}
    catches = handler.type is None or bool(names & FORGIVEN)
    return catches and not any(isinstance(one, ast.Raise) for one in handler.body)


def imports(body, package):
    """Absolute names that statements may import as modules, with their lines."""
    for statement in body:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                yield alias.name, statement.lineno
        elif isinstance(statement, ast.ImportFrom):
            base = absolute(statement, package)
            for alias in statement.names if base else ():
                yield (base if alias.name == "*" else f"{base}.{alias.name}"), statement.lineno


def absolute(statement, package):
    """What ``from ..x`` means inside a package; None outside of one."""
    if not statement.level:
        return statement.module
    parts = package.split(".") if package else []
    if statement.level > len(parts):
        return None
    kept = parts[: len(parts) - statement.level + 1]
    return ".".join([*kept, *([statement.module] if statement.module else [])])


def missing_native(relative, roots):
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


def exists(parts, roots, suffixes=SUFFIXES):
    """Whether a module or a binary of that name is there."""
    for root in roots:
        names = listing(os.path.join(root, *parts[:-1]))
        if any(one.startswith(parts[-1] + ".") and one.endswith(suffixes) for one in names):
            return True
    return False


def has_binary(parts, roots):
    """Whether a binary of that name is there."""
    return exists(parts, roots, SUFFIXES[1:])


@functools.lru_cache(maxsize=None)
def listing(folder):
    """The names in a folder."""
    try:
        return tuple(os.listdir(folder))
    except OSError:
        return ()


def is_package(parts, roots):
    """Whether a folder of that name is there."""
    return any(os.path.isdir(os.path.join(root, *parts)) for root in roots)


@functools.lru_cache(maxsize=None)
def bound_names(package, roots):
    """The names that a package's ``__init__`` binds otherwise than by importing its own modules."""
    found = set()
    for root in roots:
        try:
            with open(os.path.join(root, *package, "__init__.py"), "rb") as file:
                tree = parse(file.read())
        except OSError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                found.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            elif isinstance(node, ast.ImportFrom) and (node.module or not node.level):
                found |= {alias.asname or alias.name for alias in node.names}
    return found


def looks_native(parts, roots):
    """By its name, or by a source or stub of an extension module that lies in its place."""
    for root in roots:
        if any(os.path.exists(os.path.join(root, *parts) + suffix) for suffix in SOURCES):
            return True
    last = parts[-1].lower()
    return last.endswith(NATIVE_ENDINGS) or any(word in last for word in NATIVE_WORDS)
