"""Where things lie in an interpreter's memory: from CPython 3.13 on, each publishes it itself.

``_PyRuntime`` begins with ``struct _Py_DebugOffsets`` (Include/internal/pycore_debug_offsets.h): a
cookie, the version, and for each structure the offsets of the members that debuggers and profilers
need. Only the order of the members in that table differs between minor versions; it is what stands
here. What is read is proven before it is used (see :mod:`lanewise.diagnose.interpreter`).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from lanewise.diagnose.memory import ProcessMemory
from lanewise.errors import DiagnoseError

_COOKIE = b"xdebugpy"
_MOST_WORDS = 128

# Section after section; a name followed by its members. Members that nobody here needs are kept,
# for everything behind them depends on how many there are.
_RUNTIME = "runtime: size finalizing interpreters_head"
_THREAD_13 = (
    "thread: size prev next interp current_frame thread_id native_thread_id datastack_chunk status"
)
_CODE = (
    "code: size filename name qualname linetable firstlineno argcount localsplusnames "
    "localspluskinds co_code_adaptive"
)
_FRAME = "frame: size previous executable instr_ptr localsplus owner"
_TAIL_13 = (
    "object: size ob_type",
    "type: size tp_name tp_repr tp_flags",
    "tuple: size ob_item ob_size",
    "list: size ob_item ob_size",
)
_NUMBERS = (
    "dict: size ma_keys ma_values",
    "float: size ob_fval",
    "long: size lv_tag ob_digit",
    "bytes: size ob_size ob_sval",
)
_INTERPRETER_13 = (
    "interpreter: size id next threads_head gc imports_modules sysdict builtins ceval_gil "
    "gil_runtime_state gil_enabled gil_locked gil_holder"
)
_THREAD_15 = (
    "thread: size prev next interp current_frame base_frame last_profiled_frame "
    "last_profiled_frame_seq thread_id native_thread_id datastack_chunk status holds_gil "
    "gil_requested current_exception exc_state"
)
_INTERPRETER_14 = (
    "interpreter: size id next threads_head threads_main gc imports_modules sysdict builtins "
    "ceval_gil "
    "gil_runtime_state gil_enabled gil_locked gil_holder code_object_generation tlbc_generation"
)
_TABLES: dict[tuple[int, int], tuple[str, ...]] = {
    (3, 13): (
        _RUNTIME,
        _INTERPRETER_13,
        _THREAD_13,
        _FRAME,
        _CODE,
        *_TAIL_13,
        *_NUMBERS,
        "unicode: size state length asciiobject_size",
        "gc: size collecting",
    ),
    (3, 14): (
        _RUNTIME,
        _INTERPRETER_14,
        _THREAD_13,
        f"{_FRAME} stackpointer tlbc_index",
        f"{_CODE} co_tlbc",
        *_TAIL_13,
        "set: size used table mask",
        *_NUMBERS,
        "unicode: size state length asciiobject_size",
        "gc: size collecting",
    ),
    (3, 15): (
        _RUNTIME,
        _INTERPRETER_14,
        _THREAD_15,
        "exception_item: exc_value",
        f"{_FRAME} stackpointer tlbc_index",
        f"{_CODE} co_tlbc",
        "object: size ob_type",
        "type: size tp_name tp_repr tp_flags tp_basicsize tp_dictoffset",
        "heap_type: size ht_cached_keys",
        "tuple: size ob_item ob_size",
        "list: size ob_item ob_size",
        "set: size used table mask",
        *_NUMBERS,
        "unicode: size state length asciiobject_size compactunicodeobject_size",
        "gc: size collecting frame generation_stats_size generation_stats",
    ),
}
PUBLISHED = tuple(sorted(_TABLES))


class UnknownLayoutError(DiagnoseError):
    """The interpreter publishes a table that this lanewise cannot read."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Offsets by ``section.member``, and what interpreter they are of."""

    version: tuple[int, int]
    hexversion: int
    free_threaded: bool
    _at: dict[str, int] = field(repr=False)

    def __getitem__(self, name: str) -> int:
        """Return an offset in bytes (or a size)."""
        return self._at[name]

    def __contains__(self, name: str) -> bool:
        return name in self._at

    @property
    def python_version(self) -> str:
        """As ``platform.python_version()`` says it."""
        major, minor, micro = (self.hexversion >> shift & 0xFF for shift in (24, 16, 8))
        level, serial = self.hexversion >> 4 & 0xF, self.hexversion & 0xF
        stage = {0xA: "a", 0xB: "b", 0xC: "rc"}.get(level)
        return f"{major}.{minor}.{micro}" + (f"{stage}{serial}" if stage else "")


def learned_layout(hexversion: int, at: Mapping[str, int]) -> Layout:
    """Of a version that publishes nothing, as another run of it found out by experiment."""
    return Layout((hexversion >> 24 & 0xFF, hexversion >> 16 & 0xFF), hexversion, False, dict(at))


def publishes(memory: ProcessMemory, runtime: int) -> bool:
    """Whether the interpreter says where things are: from 3.13 on."""
    return memory.read(runtime, len(_COOKIE)) == _COOKIE


def read_layout(memory: ProcessMemory, runtime: int) -> Layout:
    """Read the published offsets.

    Raises:
        UnknownLayoutError: A version whose table is not known, or one that does not read as a table
            does.
    """
    cookie, hexversion, free_threaded = struct.unpack("<8sQQ", memory.read(runtime, 24))
    version = (hexversion >> 24 & 0xFF, hexversion >> 16 & 0xFF)
    named = ".".join(map(str, version))
    if cookie != _COOKIE or version not in _TABLES:
        known = ", ".join(".".join(map(str, one)) for one in PUBLISHED)
        raise UnknownLayoutError(
            f"process {memory.pid} runs Python {named}, whose memory layout this lanewise does "
            "not know "
            f"(it knows {known}): update lanewise"
        )
    values = iter(memory.words(runtime + 24, _MOST_WORDS))
    at = {
        f"{section}.{member}": next(values)
        for section, _, members in (line.partition(": ") for line in _TABLES[version])
        for member in members.split()
    }
    layout = Layout(version, hexversion, bool(free_threaded), at)
    _check(layout, named)
    return layout


def _check(layout: Layout, named: str) -> None:
    """Sections that are known on every build stand where they should: else the table is another one."""
    word = 8
    object_bytes = layout["object.size"]
    plausible = (
        layout["object.ob_type"] == object_bytes - word
        and layout["list.ob_size"] == object_bytes
        and layout["bytes.ob_sval"] == object_bytes + 2 * word
        and layout["unicode.length"] == object_bytes
        and layout["frame.owner"] < layout["frame.size"] <= layout["frame.localsplus"] + word
        and layout["gc.collecting"] < layout["gc.size"]
        and layout["thread.native_thread_id"] < layout["thread.size"]
        and layout["interpreter.gil_locked"] < layout["interpreter.size"]
    )
    if not plausible:
        raise UnknownLayoutError(
            f"the offsets that this Python {named} publishes do not read as those of {named} do: a "
            "pre-release or a patched build. Please report it; --source py-spy may work"
        )
