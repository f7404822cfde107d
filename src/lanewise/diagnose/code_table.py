"""Code objects of another process: name, file, and from an instruction to its line."""

from __future__ import annotations

import bisect
import struct
import time
from dataclasses import dataclass, field

from lanewise.diagnose.layout import Layout
from lanewise.diagnose.memory import ProcessMemory

# A code object's memory may be used for another one after it is gone; what is known is asked again.
_VALID_S = 3.0
_LONGEST_NAME = 4096
_MOST_VARIABLES = 4096
_BYTE_SINCE = (3, 14)
_LONGEST_TABLE_BYTES = 1_000_000
_INSTRUCTION_BYTES = 2


class Unreadable(Exception):  # noqa: N818 - because: nothing failed, the target went on meanwhile
    """What was read makes no sense: it changed while it was read."""


@dataclass(frozen=True, slots=True)
class CodeInfo:
    """What a code object says of itself.

    Attributes:
        file: As the program was told, ``co_filename``.
        name: ``co_name``; ``qualname`` with the class and enclosing functions.
        first_line: Where it is defined.
        address: Where its instructions begin.
    """

    file: str
    name: str
    qualname: str
    first_line: int
    address: int
    _starts: tuple[int, ...] = field(repr=False)
    _lines: tuple[int, ...] = field(repr=False)

    def line_at(self, instruction: int) -> int:
        """Return the line of the instruction at that address; the first line where it has none."""
        unit = (instruction - self.address) // _INSTRUCTION_BYTES
        at = bisect.bisect_right(self._starts, unit) - 1
        return self._lines[at] if at >= 0 and unit >= 0 else self.first_line


class CodeTable:
    """The code objects seen so far, by address. Owned by the thread that looks."""

    def __init__(self, memory: ProcessMemory, layout: Layout) -> None:
        self._memory, self._layout = memory, layout
        self._known: dict[int, tuple[float, CodeInfo]] = {}
        self._code_type: int | None = None

    def find(self, address: int) -> CodeInfo:
        """Return what is known about the code object at an address.

        Raises:
            Unreadable: There is none, or not any more.
        """
        known = self._known.get(address)
        now_s = time.monotonic()
        if known is not None and now_s - known[0] < _VALID_S:
            return known[1]
        try:
            info = self._read(address)
        except (OSError, struct.error, UnicodeDecodeError, IndexError) as error:
            raise Unreadable(str(error)) from error
        if known is not None and known[1] == info:
            info = known[1]
        self._known[address] = (now_s, info)
        return info

    def variables(self, address: int) -> tuple[str, ...]:
        """The names of a code object's variables, in the order in which frames keep them.

        Raises:
            Unreadable: There is no such code object any more.
        """
        layout = self._layout
        try:
            names = self._memory.word(address + layout["code.localsplusnames"])
            count = self._memory.word(names + layout["tuple.ob_size"])
            if count > _MOST_VARIABLES:
                raise Unreadable("no function has so many variables")
            words = self._memory.words(names + layout["tuple.ob_item"], count)
            return tuple(self._text(word) for word in words)
        except (OSError, struct.error, UnicodeDecodeError) as error:
            raise Unreadable(str(error)) from error

    def _read(self, address: int) -> CodeInfo:
        layout = self._layout
        head = self._memory.read(address, layout["code.size"])

        def pointer(name: str) -> int:
            return int(struct.unpack_from("<Q", head, layout[name])[0])

        kind = pointer("object.ob_type")
        if self._code_type is None:
            if self._type_name(kind) != "code":
                raise Unreadable("not a code object")
            self._code_type = kind
        elif kind != self._code_type:
            raise Unreadable("not a code object")
        first_line = struct.unpack_from("<i", head, layout["code.firstlineno"])[0]
        starts, lines = decode_lines(self._bytes(pointer("code.linetable")), first_line)
        return CodeInfo(
            self._text(pointer("code.filename")),
            self._text(pointer("code.name")),
            self._text(pointer("code.qualname")),
            first_line,
            address + layout["code.co_code_adaptive"],
            starts,
            lines,
        )

    def _type_name(self, kind: int) -> str:
        name = self._memory.word(kind + self._layout["type.tp_name"])
        return self._memory.read(name, 16).partition(b"\0")[0].decode("ascii", "replace")

    def _bytes(self, address: int) -> bytes:
        size = self._memory.word(address + self._layout["bytes.ob_size"])
        if size > _LONGEST_TABLE_BYTES:
            raise Unreadable("no table of lines is so long")
        return self._memory.read(address + self._layout["bytes.ob_sval"], size)

    def _text(self, address: int) -> str:
        layout = self._layout
        head = self._memory.read(address, layout["unicode.asciiobject_size"])
        length = struct.unpack_from("<Q", head, layout["unicode.length"])[0]
        if length > _LONGEST_NAME:
            raise Unreadable("no name is so long")
        width, is_ascii, compact = _string_form(head, layout)
        if not compact:
            raise Unreadable("no name is kept in that form")
        if is_ascii:
            return self._memory.read(address + len(head), length).decode("ascii")
        # Beyond ASCII the UTF-8 length and pointer follow before the characters; in 3.11 more does.
        name = "unicode.compactunicodeobject_size"
        size = layout[name] if name in layout else len(head) + 16
        data = self._memory.read(address + size, length * width)
        codec = {1: "latin-1", 2: "utf-16-le", 4: "utf-32-le"}[width]
        return data.decode(codec)


def _string_form(head: bytes, layout: Layout) -> tuple[int, bool, bool]:
    """How many bytes a character has, and whether it is ASCII and compact.

    ``interned`` comes first: 2 bits where there is a lock, a byte of its own on free-threaded
        builds.
    """
    state = struct.unpack_from("<I", head, layout["unicode.state"])[0]
    state >>= 8 if layout.free_threaded and layout.version >= _BYTE_SINCE else 2
    width, flags = state & 0b111, state >> 3
    if width not in {1, 2, 4}:
        raise Unreadable("not a string")
    return width, bool(flags & 0b10), bool(flags & 0b01)


def decode_lines(table: bytes, first_line: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Decode ``co_linetable`` (Objects/locations.md of CPython): instruction units and their lines."""
    starts: list[int] = []
    lines: list[int] = []
    line, unit, at = first_line, 0, 0
    while at < len(table):
        head = table[at]
        code, length = head >> 3 & 0xF, (head & 7) + 1
        at += 1
        located = code != _NO_LOCATION
        if code in {_LONG, _NO_COLUMNS}:
            delta, at = _signed(table, at)
            line += delta
            for _ in range(3 if code == _LONG else 0):
                _, at = _varint(table, at)
        elif code >= _ONE_LINE:
            if located:
                line += code - _ONE_LINE
                at += 2
        else:
            at += 1
        if located and (not lines or lines[-1] != line):
            starts.append(unit)
            lines.append(line)
        unit += length
    return tuple(starts), tuple(lines)


_ONE_LINE, _NO_COLUMNS, _LONG, _NO_LOCATION = 10, 13, 14, 15


def _varint(table: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = table[at]
        at += 1
        value |= (byte & 63) << shift
        shift += 6
        if not byte & 64:
            return value, at


def _signed(table: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(table, at)
    return (-(value >> 1) if value & 1 else value >> 1), at
