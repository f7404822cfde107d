"""Spellings that mean the same meet in one form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supplyr.generate import generate
from supplyr.normalise import comparison_tokens, fold, name_tokens, sorted_text, tokens


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hauptstraße 5", "HAUPTSTR. 5"),
        ("Königsallee", "Koenigsallee"),
        ("Ko\u0308nigsallee", "Königsallee"),
        ("12 rue Jean Jaurès", "12 r. Jean Jaures"),
        ("  Am   Alten-Hafen ", "am alten hafen"),
        ("Łódź", "Lodz"),
        ("ﬁrst \u216b", "first xii"),
    ],
)
def test_same_address_in_other_words(one: str, other: str) -> None:
    assert tokens(one) == tokens(other)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Müller Stahlbau GmbH & Co. KG", ["mueller", "stahlbau"]),
        ("Rossi Marmi S.r.l.", ["rossi", "marmi"]),
        ("Weber e. K.", ["weber"]),
        ("AG", ["ag"]),
        ("", []),
    ],
)
def test_legal_forms_are_left_out_of_names(name: str, expected: list[str]) -> None:
    assert name_tokens(name) == expected


@given(st.text())
def test_folding_leaves_single_blanks_only(text: str) -> None:
    folded = fold(text)
    assert folded == " ".join(folded.split())


@given(st.text(st.characters(max_codepoint=0x24F)))
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.permutations(["Weber", "Stahlbau", "Nord", "Hamburg"]))
def test_word_order_does_not_matter(words: list[str]) -> None:
    record = generate(1).records[0]
    one = sorted_text(comparison_tokens(record._replace(name=" ".join(words))))
    other = sorted_text(comparison_tokens(record._replace(name="Hamburg Nord Stahlbau Weber")))
    assert one == other
