"""``# lanewise: ok(FT102: filled once, before threads start)``.

It stands on the line of what it is about, on the line above, or where the shared object is bound; there
it speaks for every use of the object.
"""

from __future__ import annotations

import io
import re
import tokenize
from dataclasses import dataclass

from lanewise.readiness.files import Source

_SHAPE = re.compile(
    r"#\s*lanewise:\s*ok\b\s*(?:\(\s*(?P<rules>FT\d+(?:\s*,\s*FT\d+)*)\s*(?::\s*(?P<why>.*?)\s*)?\))?"
)


@dataclass(eq=False, slots=True)
class Suppression:
    """One comment.

    Attributes:
        path: The file.
        line: Where it stands, counted from 1.
        rules: Which rules it is about; none where it does not say.
        reason: Why the hazard is none, or an empty string.
        used: It has kept a finding back.
    """

    path: str
    line: int
    rules: tuple[str, ...]
    reason: str
    used: bool = False

    @property
    def is_valid(self) -> bool:
        """Whether it says which rules, and why."""
        return bool(self.rules and self.reason)


def read_suppressions(source: Source) -> list[Suppression]:
    """Return the suppressions of a file: comments only, not strings that look like them."""
    if "lanewise:" not in source.text:
        return []
    found: list[Suppression] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
            if token.type == tokenize.COMMENT:
                match = _SHAPE.search(token.string)
                if match is not None:
                    rules = tuple(re.findall(r"FT\d+", match["rules"] or ""))
                    reason = match["why"] or ""
                    found.append(Suppression(source.relative, token.start[0], rules, reason))
    except (tokenize.TokenError, SyntaxError):
        pass  # told with the file already; what came before counts
    return found


class Suppressions:
    """All suppressions of a project."""

    def __init__(self, found: list[Suppression]) -> None:
        self.found = found
        self._by_line = {(s.path, s.line): s for s in found}

    def keep_back(self, rule: str, path: str, line: int) -> bool:
        """Tell whether a rule is suppressed at a line, and note that the suppression was needed."""
        for number in (line, line - 1):
            suppression = self._by_line.get((path, number))
            if suppression is not None and suppression.is_valid and rule in suppression.rules:
                suppression.used = True
                return True
        return False
