"""Read the slots that an extension module declares, without running its exec phase. Stdlib only.

Runs in a child process (``_probe_child.py``), which a module may crash: loading a shared object runs
its constructors, and ``PyInit_X`` of a single-phase module is its whole initialisation.

What is read, and where it stands in CPython's sources:

* ``PyInit_X`` of a multi-phase module returns its ``PyModuleDef`` (Include/moduleobject.h), whose
  ``m_slots`` is an array of ``PyModuleDef_Slot``. The layout is the same from 3.5 to 3.15.
* From 3.15 on ``PyModExport_X`` may stand in its place and returns an array of ``PySlot``
  (Include/slots.h; PEP 793, PEP 820). The import system looks for it first, and so does this.
* A single-phase module has no slots. On a free-threaded build it may call
  ``PyUnstable_Module_SetGIL``, which stores what it says in the module object.

None of these layouts is promised by the C API, so each run proves them first on modules of the standard
library whose declarations are known, and answers nothing if one of those reads differently.
"""

from __future__ import annotations

import ctypes
import importlib.machinery
import importlib.util
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Slot ids. Include/moduleobject.h up to 3.14; 3.15 gives them new numbers in
# Include/slots_generated.h and goes on accepting the old ones.
MULTIPLE_INTERPRETERS_IDS = (3, 86)
GIL_IDS = (4, 87)
# Include/slots_generated.h of 3.15: entries whose value is another array, of PySlot or PyModuleDef_Slot.
UNIFIED_SUBSLOTS_ID = 92
MODULE_SUBSLOTS_ID = 94
# Include/internal/pycore_slots.h of 3.15: _PySlot_MAX_NESTING.
MAX_NESTING = 5
# A table without its end is not a table; the longest one seen has 11 entries.
MAX_ENTRIES = 1000

# Include/moduleobject.h: Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED, ..._SUPPORTED, and
# Py_MOD_PER_INTERPRETER_GIL_SUPPORTED; Py_MOD_GIL_USED and Py_MOD_GIL_NOT_USED.
INTERPRETERS = {0: "not_supported", 1: "shared_gil", 2: "own_gil"}
GIL = {0: "used", 1: "not_used"}

HAS_INTERPRETERS_SLOT = sys.version_info >= (3, 12)
HAS_GIL_SLOT = sys.version_info >= (3, 13)
HAS_UNIFIED_SLOTS = sys.version_info >= (3, 15)
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

# What modules of the standard library declare, the same in the sources of 3.12 to 3.15 (the GIL slot
# from 3.13 on). Which of them exist as shared objects depends on how the interpreter was built.
OWN_GIL = (
    "_struct", "_zoneinfo", "_lzma", "_bz2", "_queue", "_multiprocessing", "_posixshmem", "mmap",
    "termios", "resource",
)  # fmt: skip
NOT_SUPPORTED = ("_curses_panel",)
UNDECLARED = ("xxlimited_35",)
SINGLE_PHASE = ("readline", "_testsinglephase", "_tkinter")

# How many of those a reader must have read before it is believed.
ENOUGH_KNOWN = 2

# What stands in the way of answering; the one thing that calibration changes.
refusal: dict[str, str | None] = {"reason": "the reader has not been calibrated"}


class ModuleSlot(ctypes.Structure):
    """``struct PyModuleDef_Slot``."""

    _fields_ = (("id", ctypes.c_int), ("value", ctypes.c_void_p))


class UnifiedSlot(ctypes.Structure):
    """``struct PySlot``."""

    _fields_ = (
        ("id", ctypes.c_uint16),
        ("flags", ctypes.c_uint16),
        ("reserved", ctypes.c_uint32),
        ("value", ctypes.c_uint64),
    )


class ModuleDefinition(ctypes.Structure):
    """``struct PyModuleDef``, up to the slots. The object header is longer on free-threaded builds."""

    _fields_ = (
        ("head", ctypes.c_byte * object.__basicsize__),
        ("init", ctypes.c_void_p),
        ("index", ctypes.c_ssize_t),
        ("copy", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("doc", ctypes.c_void_p),
        ("size", ctypes.c_ssize_t),
        ("methods", ctypes.c_void_p),
        ("slots", ctypes.c_void_p),
    )


def prepare(_options: dict[str, Any]) -> dict[str, Any]:
    """Read modules whose declarations are known. Without enough that agree, ``answer`` refuses."""
    checked, wrong = 0, []
    refusal["reason"] = None
    for names, expected in _known():
        for name in names:
            path = _shared_object(name)
            if path is None:
                continue
            found = _read(name, path)
            seen = tuple(found.get(key) for key in ("multi_phase", "interpreters", "gil"))
            checked += 1
            if any(
                want is not None and want != got for want, got in zip(expected, seen, strict=True)
            ):
                wrong.append(f"{name} reads as {seen} instead of {expected}")
    if wrong:
        refusal["reason"] = "known modules read wrongly: " + "; ".join(wrong)
    elif checked < ENOUGH_KNOWN:
        refusal["reason"] = "this interpreter has too few shared modules whose slots are known"
    return {"checked": checked, "calibration_failure": refusal["reason"]}


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Read one module: ``{"module": "a.b", "path": "/.../b.so"}``."""
    if refusal["reason"] is not None:
        return {"error": f"not read: {refusal['reason']}"}
    return _read(question["module"], question["path"])


def _known() -> tuple[tuple[tuple[str, ...], tuple[bool | str | None, ...]], ...]:
    own = "own_gil" if HAS_INTERPRETERS_SLOT else "unknown"
    refused = "not_supported" if HAS_INTERPRETERS_SLOT else "unknown"
    silent = "undeclared" if HAS_INTERPRETERS_SLOT else "unknown"
    free = "not_used" if HAS_GIL_SLOT else "unknown"
    nothing = "undeclared" if HAS_GIL_SLOT else "unknown"
    # 3.11 has one of the first kind that is single-phase and others without slots; what matters
    # there is that a definition is told from a module.
    return (
        (OWN_GIL, (True, own, free)),
        (NOT_SUPPORTED, (True, refused, free)),
        (UNDECLARED, (True, silent, nothing)),
        # What single-phase modules say of the lock changed between versions.
        (SINGLE_PHASE, (False, None, None)),
    )


def _shared_object(name: str) -> str | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None or not isinstance(spec.loader, importlib.machinery.ExtensionFileLoader):
        return None
    return spec.origin


def _read(name: str, path: str) -> dict[str, Any]:
    # The whole rest of the file's name counts: ".so" alone ends all of them.
    suffix = "".join(Path(path).name.partition(".")[1:])
    if suffix not in importlib.machinery.EXTENSION_SUFFIXES:
        return {"error": "built for another interpreter: this one does not load files of that name"}
    try:
        library = ctypes.PyDLL(path)
    except OSError as error:
        return {"error": f"cannot be loaded: {error}"}
    return _read_library(library, name.rpartition(".")[2])


def _read_library(library: ctypes.PyDLL, last: str) -> dict[str, Any]:
    if HAS_UNIFIED_SLOTS:
        export = _entry(library, "PyModExport", last)
        if export is not None:
            return _multi_phase(list(_unified(export())), "PyModExport")
    init = _entry(library, "PyInit", last)
    if init is None:
        return {
            "no_module": True,
            "error": f"no PyInit function for {last!r}: a library, not an extension module",
        }
    try:
        returned = init()
    except Exception as error:  # noqa: BLE001 - because: whatever it is, it is the answer
        return {"error": f"PyInit raised {type(error).__name__}: {error}"}
    if not returned:
        return {"error": "PyInit returned nothing and raised nothing"}
    if _type_of(returned) == _address("PyModuleDef_Type"):
        definition = ModuleDefinition.from_address(returned)
        return _multi_phase(list(_plain(definition.slots)), "PyInit")
    return _single_phase(returned)


def _entry(library: ctypes.PyDLL, prefix: str, last: str) -> Callable[[], int | None] | None:
    """The function that the import system would call (Python/importdl.c: get_encoded_name)."""
    if last.isascii():
        symbol = f"{prefix}_{last}"
    else:
        symbol = f"{prefix}U_" + last.encode("punycode").decode().replace("-", "_")
    try:
        function: Callable[[], int | None] = getattr(library, symbol)
    except AttributeError:
        return None
    # The address alone: a definition may be no complete object yet, and is not ours to count.
    function.restype = ctypes.c_void_p  # type: ignore[attr-defined]
    return function


def _plain(address: int | None, depth: int = 0) -> Iterator[tuple[int, int]]:
    for at in _entries(address, ModuleSlot, depth):
        yield from _nested(at.id, at.value or 0, depth)


def _unified(address: int | None, depth: int = 0) -> Iterator[tuple[int, int]]:
    for at in _entries(address, UnifiedSlot, depth):
        yield from _nested(at.id, at.value, depth)


def _entries(address: int | None, structure: type[Any], depth: int) -> Iterator[Any]:
    if depth >= MAX_NESTING:
        raise ValueError("slot tables are nested deeper than CPython allows")
    if not address:
        return
    for number in range(MAX_ENTRIES):
        at = structure.from_address(address + number * ctypes.sizeof(structure))
        if at.id == 0:
            return
        yield at


def _nested(slot: int, value: int, depth: int) -> Iterator[tuple[int, int]]:
    if HAS_UNIFIED_SLOTS and slot == UNIFIED_SUBSLOTS_ID:
        yield from _unified(value, depth + 1)
    elif HAS_UNIFIED_SLOTS and slot == MODULE_SUBSLOTS_ID:
        yield from _plain(value, depth + 1)
    else:
        yield slot, value


def _multi_phase(slots: list[tuple[int, int]], entry: str) -> dict[str, Any]:
    interpreters = _declared(slots, MULTIPLE_INTERPRETERS_IDS, INTERPRETERS)
    gil = _declared(slots, GIL_IDS, GIL)
    return {
        "multi_phase": True,
        "interpreters": interpreters if HAS_INTERPRETERS_SLOT else "unknown",
        "gil": gil if HAS_GIL_SLOT else "unknown",
        "entry": entry,
    }


def _declared(slots: list[tuple[int, int]], ids: tuple[int, int], meanings: dict[int, str]) -> str:
    # CPython before 3.15 rejects the new ids (Objects/moduleobject.c: unknown slot ID).
    accepted = ids if HAS_UNIFIED_SLOTS else ids[:1]
    values = [value for slot, value in slots if slot in accepted]
    return meanings.get(values[-1], "unknown") if values else "undeclared"


def _single_phase(module: int) -> dict[str, Any]:
    gil = "unknown"
    if FREE_THREADED and HAS_GIL_SLOT:
        place = _gil_byte()
        if place is not None:
            offset, used, not_used = place
            stored = ctypes.c_ubyte.from_address(module + offset).value
            gil = {used: "used", not_used: "not_used"}.get(stored, "unknown")
    # Python/import.c: _PyImport_CheckSubinterpIncompatibleExtensionAllowed refuses these.
    interpreters = "not_supported" if HAS_INTERPRETERS_SLOT else "unknown"
    return {"multi_phase": False, "interpreters": interpreters, "gil": gil, "entry": "PyInit"}


def _gil_byte() -> tuple[int, int, int] | None:
    """Where a module object keeps what PyUnstable_Module_SetGIL was told, found by telling it.

    ``(offset, value for used, value for not used)``, or None where no single byte follows. The
    structure is internal (pycore_moduleobject.h) and differs between versions, so no table is kept.
    """
    module = types.ModuleType("lanewise_probe_module")
    try:
        tell = ctypes.pythonapi.PyUnstable_Module_SetGIL
    except AttributeError:
        return None
    tell.argtypes = (ctypes.py_object, ctypes.c_void_p)
    seen = []
    for value in (0, 1, 0, 1):
        tell(module, value)
        seen.append(ctypes.string_at(id(module), types.ModuleType.__basicsize__))
    places = [
        at
        for at, (used, free, again, last) in enumerate(zip(*seen, strict=True))
        if used == again and free == last and used != free
    ]
    if len(places) != 1:
        return None
    return places[0], seen[0][places[0]], seen[1][places[0]]


def _type_of(address: int) -> int | None:
    # Include/object.h: ob_type is the last member of PyObject, on both kinds of build.
    at = address + object.__basicsize__ - ctypes.sizeof(ctypes.c_void_p)
    return ctypes.c_void_p.from_address(at).value


def _address(symbol: str) -> int:
    return ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, symbol))
