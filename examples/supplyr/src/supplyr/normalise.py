"""Bring names and addresses into one comparable form.

The steps: case folding, transliteration, removal of punctuation, common abbreviations, and for
names the removal of legal forms. The result is a text of blank-separated ASCII-like tokens.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from supplyr.records import Supplier

# German practice writes umlauts as two letters where they are not available, so both spellings
# have to meet in the two-letter form; all other accents are simply removed.
_TWO_LETTERS = {
    "ä": "ae",
    "ö": "oe",
    "ü": "ue",
    "ø": "oe",
    "å": "aa",
    "ł": "l",
    "đ": "d",
    "æ": "ae",
}


def _without_accents(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    # casefold again: compatibility characters such as "㎒" decompose to capitals.
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


# The Latin blocks in one table, which is several times faster than decomposing every text.
_TRANSLITERATION = str.maketrans(
    {
        char: "".join(_TWO_LETTERS.get(base, base) for base in _without_accents(char))
        for char in map(chr, range(0xC0, 0x250))
    }
    | _TWO_LETTERS
)
_NOT_TOKEN = re.compile(r"[\W_]+")
_DOTTED = re.compile(r"\b(\w)\. ?(?=\w\b)")

_ABBREVIATIONS = {
    "strasse": "str", "street": "str", "st": "str", "avenue": "av", "ave": "av", "rue": "r",
    "boulevard": "bd", "boul": "bd", "place": "pl", "platz": "pl", "allee": "al", "viale": "vle",
    "corso": "cso", "piazza": "pza", "road": "rd", "circuit": "cct", "crescent": "cres",
    "und": "", "and": "", "et": "", "e": "",
}  # fmt: skip
_LEGAL_FORMS = frozenset(
    "gmbh gesmbh mbh ag kg kgaa ohg og ug ek eu co sarl sas sa eurl snc srl spa ltd llc inc"
    " bv nv".split()
)


def fold(text: str) -> str:
    """Return `text` case-folded, without accents, with blanks as the only separators."""
    folded = text.casefold()
    if not folded.isascii():
        # Composing first makes "u" + combining diaeresis meet the same rule as "ü".
        folded = unicodedata.normalize("NFC", folded).translate(_TRANSLITERATION)
        if not folded.isascii():
            folded = _without_accents(folded)
    return _NOT_TOKEN.sub(" ", folded).strip()


def _shorten(token: str) -> str:
    if token.endswith("strasse"):  # "Bahnhofstraße", "Bahnhofstr."
        return token[:-7] + "str"
    return _ABBREVIATIONS.get(token, token)


@lru_cache(maxsize=65_536)
def _word_tokens(word: str) -> tuple[str, ...]:
    # Words come again and again in a directory, and folding one costs twenty times as much as
    # finding it here. No step of it looks beyond a blank, so words can be folded apart.
    return tuple(short for token in fold(word).split() if (short := _shorten(token)))


def tokens(text: str) -> list[str]:
    """Return the normalised tokens of an address line, in their order."""
    return [token for word in text.split() for token in _word_tokens(word)]


def name_tokens(name: str) -> list[str]:
    """Return the normalised tokens of a supplier's name without its legal form.

    A name that consists of nothing but legal forms keeps them, so that it does not become empty.
    """
    if "." in name:
        name = _DOTTED.sub(r"\1", name)  # "S.r.l." and "e. K." become one token
    every = tokens(name)
    kept = [token for token in every if token not in _LEGAL_FORMS]
    return kept or every


def comparison_tokens(record: Supplier) -> list[list[str]]:
    """Return the tokens of name, street, city, postcode and address supplement.

    The region is left out because it follows from the postcode, and the country because a wrong
    country is a wrong entry, not another supplier.
    """
    return [
        name_tokens(record.name),
        tokens(record.street),
        tokens(record.city),
        tokens(record.postcode),
        tokens(record.address_extra) if record.address_extra else [],
    ]


def sorted_text(parts: Iterable[list[str]]) -> str:
    """Return the sorted tokens of all parts as one text without blanks.

    Word order then does not matter in it, and neither do most blanks too many or too few.
    """
    return "".join(sorted(token for part in parts for token in part))


def joined_letters(parts: Iterable[str]) -> str:
    """Join tokens without blanks, leaving out those that start with a digit (house numbers)."""
    return "".join(part for part in parts if not part[0].isdigit())
