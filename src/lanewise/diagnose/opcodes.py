"""Which instructions run a function written in C, by the numbers that each version gave them.

Numbers are frozen with a version's bytecode format, at its first release candidate. A call of a
Python function
is no such instruction for long: its frame is the innermost one a moment later. The tiny calls that
    the
interpreter inlines (``len``, ``isinstance``, ``list.append``, ``type``) count as bytecode.
"""

from __future__ import annotations

# CALL, CALL_FUNCTION_EX, CALL_KW and what they are specialised to for callables without a Python
# frame: CALL_BUILTIN_*, CALL_METHOD_DESCRIPTOR_*, CALL_NON_PY_GENERAL, CALL_KW_NON_PY, CALL_STR_1,
# CALL_TUPLE_1, and the instrumented ones (lib/python3.X/_opcode_metadata.py; before 3.13 opcode.h,
# where 3.11 runs functions written in C in PRECALL_*).
_CALLS_OF_C: dict[tuple[int, int], frozenset[int]] = {
    (3, 11): frozenset({22, 66, 67, 72, 73, 76, 80, 81, 113, 121, 127, 142, 171}),
    (3, 12): frozenset({29, 34, 38, 39, 40, *range(44, 49), 142, 171, 241, 244}),
    (3, 13): frozenset({53, 54, 57, *range(165, 169), *range(172, 177), 179, 180, 244, 245, 246}),
    (3, 14): frozenset(
        {4, 52, 55, *range(146, 150), 152, *range(156, 161), 163, 164, 250, 251, 252}
    ),
    (3, 15): frozenset(
        {4, 50, 53, *range(147, 152), 155, *range(159, 164), 166, 167, 249, 250, 251}
    ),
}


def calls_of_c(version: tuple[int, int]) -> frozenset[int]:
    """The numbers of the instructions that run C functions; empty for a version that is not known."""
    return _CALLS_OF_C.get(version, frozenset())
