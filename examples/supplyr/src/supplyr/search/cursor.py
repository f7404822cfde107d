"""Where a page ended: signed, so that clients cannot make one up, and bound to its question."""

import json
import math
from collections.abc import Mapping
from typing import NamedTuple

from supplyr.auth.signing import Signer

_PURPOSE = "cursor"
# Of a page that is sorted by name, its last name is part: 200 letters, of three bytes each, say.
MAX_CHARACTERS = 8000


class CursorError(ValueError):
    """The text is no cursor, or one of another question."""


class Cursor(NamedTuple):
    """The last row of a page.

    Attributes:
        fingerprint: Of the question.
        key: What it is sorted by.
        supplier_id: Which of equal keys.
        near_words: What misspelt words of the question were taken for.
    """

    fingerprint: str
    key: float | str
    supplier_id: int
    near_words: Mapping[str, tuple[str, ...]]


def written(signer: Signer, cursor: Cursor) -> str:
    """Return a cursor as a text for a URL."""
    words = {word: list(near) for word, near in cursor.near_words.items()}
    told = [cursor.fingerprint, cursor.key, cursor.supplier_id, words]
    return signer.sealed(_PURPOSE, json.dumps(told, ensure_ascii=False, separators=(",", ":")))


def parsed(signer: Signer, text: str, fingerprint: str) -> Cursor:
    """Return the cursor of a text; CursorError where it is none, or not of this question."""
    plain = signer.unsealed(_PURPOSE, text) if len(text) <= MAX_CHARACTERS else None
    if plain is None:
        raise CursorError("The cursor is not one of this server; begin again without it.")
    of, key, supplier_id, words = json.loads(plain)
    if of != fingerprint:
        raise CursorError("The cursor belongs to another question; begin again without it.")
    if isinstance(key, float) and not math.isfinite(key):
        raise CursorError("The cursor has no place in this order; begin again without it.")
    return Cursor(of, key, supplier_id, {word: tuple(near) for word, near in words.items()})
