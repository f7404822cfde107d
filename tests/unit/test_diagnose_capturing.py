"""What is kept of a call's arguments: plain data, without secrets, up to a size."""

import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise.diagnose.captured import Captured, CaptureOptions, verified_by
from lanewise.diagnose.capturing.calls import Copier, Unfit, _arguments
from lanewise.diagnose.load import Advice
from lanewise.errors import DiagnoseError

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.binary(max_size=8),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=20,
)


def copied(value, *, limit=10_000, secrets=False):
    return Copier(limit, secrets=secrets).copy(value)


@given(PLAIN)
def test_plain_data_is_copied_as_it_is_when_secrets_are_wanted(value):
    assert copied(value, limit=10**6, secrets=True) == value


@pytest.mark.parametrize(
    "name",
    ["password", "DB_PASSWD", "apiKey", "api_key", "auth_token", "Cookie", "sessionid", "pin"],
)
def test_what_is_named_like_a_secret_keeps_its_form_alone(name):
    made = copied({name: {"inner": "geheim", "many": [7, b"abc"]}, "note": "open"})
    assert made == {name: {"inner": "xxxxxx", "many": [0, b"xxx"]}, "note": "open"}


@pytest.mark.parametrize(
    "text",
    [
        "Bearer abcdefgh12345",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        "-----BEGIN RSA PRIVATE KEY-----",
        "postgresql://user:geheim@db/shop",
        "AKIAABCDEFGHIJKLMNOP",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
    ],
)
def test_what_reads_like_a_secret_is_left_out_wherever_it_stands(text):
    assert copied(["see: " + text]) == ["x" * (5 + len(text))]
    assert copied(text.encode()) == b"x" * len(text)
    assert copied(text, secrets=True) == text


@pytest.mark.parametrize(
    "text", ["Rotkehlchen", "a sentence of more than thirty-two letters", "pinned"]
)
def test_what_is_no_secret_stays(text):
    assert copied({"title": text, text: 1}) == {"title": text, text: 1}


def test_what_is_too_large_is_left_out():
    with pytest.raises(Unfit, match="larger than 100 bytes"):
        copied(["a" * 60, "b" * 60], limit=100)


def test_what_contains_itself_is_left_out():
    value = []
    value.append(value)
    with pytest.raises(Unfit, match="nested"):
        copied(value)


def test_what_is_no_plain_data_is_left_out_and_named():
    with pytest.raises(Unfit, match="StringIO"):
        copied({"file": io.StringIO()})


def call(a, b=2, *rest, c, password="", **more):
    return _arguments(sys._getframe(), Copier(1000, secrets=False))


def test_a_calls_arguments_are_told_by_place_and_by_name():
    assert call(1, 3, 4, 5, c=[6], password="geheim", token="t", e=7) == (
        (1, 3, 4, 5),
        {"c": [6], "password": "xxxxxx", "token": "x", "e": 7},
    )


@pytest.mark.parametrize("target", ["export", "app/views.py:export", "app:", ":export", "a b:c"])
def test_a_function_that_is_not_named_rightly_is_told(target, tmp_path):
    with pytest.raises(DiagnoseError, match="MODULE:FUNCTION"):
        CaptureOptions((target,), tmp_path)


def test_advice_is_verified_with_what_was_kept():
    advice = Advice(
        "export", "process", 2.0, None, "", "", "lanewise measure app:export --inputs M:C"
    )
    kept = Captured("app:export", (10,), {}, "lanewise measure app:export --inputs kept:inputs")
    other = Captured("app:exports", (10,), {}, "lanewise measure app:exports --inputs kept:inputs")
    assert verified_by(advice, [other, kept]).verify == kept.verify
    assert verified_by(advice, [other]).verify == advice.verify


def test_the_size_of_what_was_kept_is_part_of_what_is_assumed():
    verify = "lanewise measure app:export --inputs M:C"
    assumed = "arguments that cost little to send (their size was not seen)"
    advice = Advice("export", "process", 2.0, None, "", assumed, verify)
    kept = Captured("app:export", (10, 32_000), {}, verify)
    assert "up to 32,000 bytes" in verified_by(advice, [kept]).assumption
    assert verified_by(advice, []).assumption == assumed
