"""What of a supplier is found by which words. Pure: texts in, folded words out."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from supplyr.normalise import fold

# Of a price list with thousands of rows, so many different words are enough to be found by.
MAX_PRODUCT_WORDS = 2000
_MAX_WORD_CHARACTERS = 40
_CODE = re.compile(r"(\d{2})(?:\.(\d{1,2}))?")


class Document(NamedTuple):
    """The folded words of a supplier, by where they stand."""

    supplier_id: int
    name: str
    products: str
    codes: str
    place: str
    description: str


def code_words(code: str) -> list[str]:
    """Return the words under which a code is indexed: "25.62" as c25, c256, c2562."""
    match = _CODE.fullmatch(code)
    if match is None:
        return []
    digits = match.group(1) + (match.group(2) or "")
    return [f"c{digits[:length]}" for length in range(2, len(digits) + 1)]


def code_word(text: str) -> str | None:
    """Return the word that finds what somebody wrote, if that is a code ("25", "25.6", "25.62")."""
    words = code_words(text)
    return words[-1] if words else None


def words_of(text: str) -> list[str]:
    """Return the folded words of a text; overlong ones are cut, as nobody types them."""
    return [word[:_MAX_WORD_CHARACTERS] for word in fold(text).split()]


def product_words(texts: Iterable[str]) -> list[str]:
    """Return the words of what products are called, each once, and not too many of them."""
    found: dict[str, None] = {}
    for text in texts:
        found.update(dict.fromkeys(words_of(text)))
        if len(found) > MAX_PRODUCT_WORDS:
            break
    return list(found)


def document_of(
    row: Mapping[str, Any], products: Sequence[str], code_texts: Mapping[str, str]
) -> Document:
    """Return the document of a supplier.

    Args:
        row: As `store.suppliers.by_ids` returns it.
        products: What its products are called.
        code_texts: Code -> its title and other words for it.
    """
    codes: list[str] = []
    for code in row["codes"]:
        codes += code_words(code)
        codes += words_of(code_texts.get(code, ""))
    # Not the country's code: "de" and "at" are words, and found in every second name.
    place = (row["city"], row["region"], row["postcode"])
    return Document(
        supplier_id=row["id"],
        name=" ".join(words_of(row["name"])),
        products=" ".join(product_words(products)),
        codes=" ".join(dict.fromkeys(codes)),
        place=" ".join(words_of(" ".join(place))),
        description=" ".join(words_of(f"{row['description']} {' '.join(row['certificates'])}")),
    )


def vocabulary(documents: Iterable[Document]) -> set[str]:
    """Return the words of documents that somebody may misspell."""
    found: set[str] = set()
    for document in documents:
        for text in document[1:]:
            found.update(text.split())
    return worth_correcting(found)


def worth_correcting(words: Iterable[str]) -> set[str]:
    """Return which words somebody may misspell: three letters or more, no codes."""
    return {word for word in words if len(word) >= 3 and not any(c.isdigit() for c in word)}
