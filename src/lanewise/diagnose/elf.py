"""Where the interpreter's runtime structure lies in another process.

``_PyRuntime`` is an exported symbol of the executable or of libpython, so its place is in the
dynamic symbol table of the file, and the file's place is in the process's map.
"""

from __future__ import annotations

import mmap
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from lanewise.errors import DiagnoseError

_SYMBOL = b"_PyRuntime"
_PYTHON_FILE = re.compile(r"/(lib)?python[\d.]*[a-z]*(\.so[\d.]*)?$")
_VERSION = re.compile(r"python(\d+\.\d+)")
_LOADABLE = 1  # PT_LOAD
_DYNAMIC_SYMBOLS = 11  # SHT_DYNSYM
_ALL_SYMBOLS = 2  # SHT_SYMTAB
_SYMBOL_BYTES = 24


class NotPythonError(DiagnoseError):
    """A process runs another kind of program."""


@dataclass(frozen=True, slots=True)
class RuntimePlace:
    """Where ``_PyRuntime`` is.

    Attributes:
        address: In the process.
        file: Which file brought it, as the process names it.
    """

    address: int
    file: str


def find_runtime(pid: int) -> RuntimePlace:
    """Locate ``_PyRuntime`` in a process.

    Raises:
        NotPythonError: The process is not a CPython.
        DiagnoseError: Its files cannot be read.
    """
    try:
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    except OSError as error:
        raise DiagnoseError(f"the memory map of process {pid} cannot be read: {error}") from error
    for file, start in _candidates(lines, executable_of(pid)).items():
        value = _symbol(_in_the_process_s_root(pid, file), _SYMBOL)
        if value is not None:
            return RuntimePlace(start + value, file)
    raise NotPythonError(
        f"process {pid} is not a Python interpreter of this kind: no file that it has loaded "
        "exports "
        "_PyRuntime. A launcher that starts Python itself is followed with --follow"
    )


def version_of(place: RuntimePlace) -> str:
    """The version that the file's name tells, ``3.12``; empty where it does not."""
    found = _VERSION.search(place.file)
    return found[1] if found else ""


def executable_of(pid: int) -> str:
    """The program that the process runs; empty where that cannot be seen."""
    try:
        return str(Path(f"/proc/{pid}/exe").readlink())
    except OSError:
        return ""


def _candidates(lines: list[str], executable: str) -> dict[str, int]:
    """Files that may be an interpreter, libpython first, each with where it begins."""
    found: dict[str, int] = {}
    for line in lines:
        parts = line.split(maxsplit=5)
        if len(parts) == 6 and int(parts[2], 16) == 0:  # noqa: PLR2004 - because: a mapping with a file has six fields
            found.setdefault(parts[5], int(parts[0].partition("-")[0], 16))
    return {
        file: start
        for file, start in sorted(found.items(), key=lambda item: ".so" not in item[0])
        if file == executable or _PYTHON_FILE.search(file)
    }


def _in_the_process_s_root(pid: int, file: str) -> Path:
    # Through its own root: it may live in a container or a chroot.
    inside = Path(f"/proc/{pid}/root{file}")
    if inside.exists():
        return inside
    # A file that was replaced by an upgrade is still there for those who run it.
    return Path(f"/proc/{pid}/exe") if file == executable_of(pid) else Path(file)


def _symbol(path: Path, name: bytes) -> int | None:
    """The symbol's place, counted from where the file is mapped; None where it is not defined there."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
            if data[:6] != b"\x7fELF\x02\x01":
                return None
            return _look_up(data, name)
    except (OSError, ValueError, struct.error):
        return None


def _look_up(data: mmap.mmap, name: bytes) -> int | None:
    program_at, section_at = struct.unpack_from("<QQ", data, 32)
    program_size, program_count, section_size, section_count = struct.unpack_from("<4H", data, 54)
    bases = []
    for index in range(program_count):
        at = program_at + index * program_size
        kind, _, _, virtual = struct.unpack_from("<IIQQ", data, at)
        if kind == _LOADABLE:
            bases.append(virtual & ~0xFFF)
    sections = [
        struct.unpack_from("<IIQQQQIIQQ", data, section_at + index * section_size)
        for index in range(section_count)
    ]
    for section in sections:
        if section[1] in (_DYNAMIC_SYMBOLS, _ALL_SYMBOLS):
            strings_at, strings_bytes = sections[section[6]][4], sections[section[6]][5]
            named = data[strings_at : strings_at + strings_bytes].find(b"\0" + name + b"\0") + 1
            value = _value_of(data, section[4], section[5], named) if named else None
            if value is not None:
                return value - int(min(bases))
    return None


def _value_of(data: mmap.mmap, at: int, size_bytes: int, named: int) -> int | None:
    for offset in range(at, at + size_bytes, _SYMBOL_BYTES):
        if struct.unpack_from("<I", data, offset)[0] == named:
            _, _, _, section, value, _ = struct.unpack_from("<IBBHQQ", data, offset)
            return int(value) if section else None
    return None
