"""List what is installed for an interpreter, in the interpreter itself. Stdlib only.

Runs in a child process (``_probe_child.py``). Only metadata is read: nothing is imported.
"""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# A file's place below the folder of modules, and its path on disk.
Listed = tuple[tuple[str, ...], str]

# What import systems of any build load, so that files of another interpreter are seen too.
NATIVE_SUFFIXES = (".so", ".pyd")
NOT_PACKAGES = re.compile(r"\.(dist-info|egg-info|data|libs)$|^__pycache__$|^\.\.$|^bin$")
MODULE_PART = re.compile(r"^\w+$")


def prepare(_options: dict[str, Any]) -> dict[str, Any]:
    """Nothing to prepare."""
    return {}


def answer(_question: dict[str, Any]) -> dict[str, Any]:
    """The interpreter's facts and every installed distribution; the first one of a name counts."""
    found = {}
    for distribution in importlib.metadata.distributions():
        try:
            name = canonical(distribution.metadata["Name"])
            if name not in found:
                found[name] = describe(distribution)
        except (KeyError, TypeError, AttributeError, ValueError, OSError):
            continue  # half-removed folders; importlib.metadata shows no name for them
    return {"interpreter": interpreter(), "distributions": found}


def canonical(name: str) -> str:
    """The name as the packaging specifications compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def interpreter() -> dict[str, Any]:
    """Facts of this interpreter, and the environment that markers are evaluated in."""
    ask = getattr(sys, "_is_gil_enabled", None)
    return {
        "executable": sys.executable,
        "version": platform.python_version(),
        "version_info": list(sys.version_info[:2]),
        "implementation": platform.python_implementation(),
        "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "gil_enabled": True if ask is None else bool(ask()),
        "platform": sysconfig.get_platform(),
        "extension_suffixes": importlib.machinery.EXTENSION_SUFFIXES,
        "markers": markers(),
    }


def markers() -> dict[str, str]:
    """The values of environment markers (PyPA specification "Dependency specifiers")."""
    version = sys.implementation.version
    release = ".".join(map(str, version[:3]))
    if version.releaselevel != "final":
        release += version.releaselevel[0] + str(version.serial)
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": release,
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def describe(distribution: importlib.metadata.Distribution) -> dict[str, Any]:
    """What the metadata and the list of files say about one distribution."""
    told = listed(distribution)
    files = told or []
    names = top_level(distribution, files)
    if not names_of_code(files):
        # Editable, or installed by a system's package manager: look where its modules are.
        files = [*files, *walked(names)]
    wheel = distribution.read_text("WHEEL") or ""
    return {
        "name": distribution.metadata["Name"],
        "version": distribution.version,
        "requires": list(distribution.requires or []),
        "extras": distribution.metadata.get_all("Provides-Extra") or [],
        "tags": field(wheel, "Tag"),
        "files_known": told is not None,
        "editable": editable(distribution),
        "location": str(distribution.locate_file("")),
        "modules": names,
        "natives": natives(files),
        "sources": sources(files),
    }


def field(text: str, key: str) -> list[str]:
    """The values of a field of a WHEEL file."""
    found = re.findall(rf"^{key}:[ \t]*(.*)$", text, re.MULTILINE)
    return [value.strip() for value in found]


def listed(distribution: importlib.metadata.Distribution) -> list[Listed] | None:
    """``(path relative to the modules' root, path on disk)`` of each installed file, or None."""
    if distribution.files is None:
        return None
    return [(tuple(file.parts), str(file.locate())) for file in distribution.files]


def names_of_code(files: Iterable[Listed]) -> set[str]:
    """The top-level modules and packages among the files."""
    found = set()
    for parts, path in files:
        first = parts[0]
        if not path.endswith((".py", *NATIVE_SUFFIXES)) or NOT_PACKAGES.search(first):
            continue
        stem = first if len(parts) > 1 else first.partition(".")[0]
        if MODULE_PART.match(stem):
            found.add(stem)
    return found


def top_level(distribution: importlib.metadata.Distribution, files: Iterable[Listed]) -> list[str]:
    """What the distribution can be imported as."""
    found = names_of_code(files)
    if not found:
        told = (distribution.read_text("top_level.txt") or "").split()
        guess = re.sub(r"[-.]+", "_", distribution.metadata["Name"])
        found = set(told) or {guess, guess.lower()}
        found = {name for name in found if MODULE_PART.match(name) and place(name)}
    return sorted(found)


def place(name: str) -> importlib.machinery.ModuleSpec | None:
    """The spec of a top-level module; nothing is imported to find it."""
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None


def walked(names: Iterable[str]) -> list[Listed]:
    """The files below the packages of these names, as ``listed`` gives them."""
    found = []
    for name in names:
        spec = place(name)
        for root in (spec and spec.submodule_search_locations) or []:
            above = Path(root).parent
            for folder, folders, files in os.walk(root):
                folders[:] = [one for one in folders if one != "__pycache__"]
                paths = [Path(folder, file) for file in files]
                found += [(path.relative_to(above).parts, str(path)) for path in paths]
    return found


def natives(files: Iterable[Listed]) -> list[dict[str, Any]]:
    """Files that an import system might load as extension modules."""
    found = []
    for parts, path in files:
        if not path.endswith(NATIVE_SUFFIXES) or any(map(NOT_PACKAGES.search, parts[:-1])):
            continue
        stem, _, rest = parts[-1].partition(".")
        names = (*parts[:-1], stem)
        if not all(map(MODULE_PART.match, names)):
            continue
        try:
            size_bytes = Path(path).stat().st_size
        except OSError:
            continue  # listed, but removed since
        found.append(
            {
                "module": ".".join(names[:-1] if stem == "__init__" else names),
                "path": path,
                "suffix": "." + rest,
                "size_bytes": size_bytes,
            }
        )
    return found


def sources(files: Iterable[Listed]) -> list[str]:
    """Sources of extension modules that lie among the installed files."""
    suffixes = (".pyx", ".c", ".cpp", ".rs")
    return ["/".join(parts) for parts, path in files if path.endswith(suffixes)]


def editable(distribution: importlib.metadata.Distribution) -> bool:
    """Whether it was installed as a link to its sources (PEP 610)."""
    try:
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    except ValueError:
        return False
    return bool(origin.get("dir_info", {}).get("editable", False))
