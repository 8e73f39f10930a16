"""Secrets never come out, in whatever form and however the text is cut (S25, K-03)."""

from __future__ import annotations

import base64
import html
import json
import shlex
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relorch.lib.masking import MASK, Masker, mask, mask_json

FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "base64, offset 0": lambda secret: base64.b64encode(secret.encode()).decode(),
    "base64, offset 1": lambda secret: base64.b64encode(b"u" + secret.encode()).decode(),
    "base64, offset 2": lambda secret: base64.b64encode(b"u:" + secret.encode()).decode(),
    "base64, URL alphabet": lambda secret: base64.urlsafe_b64encode(b"xy" + secret.encode() + b"z").decode(),
    "base64, wrapped": lambda secret: base64.encodebytes(b"-" * 50 + secret.encode()).decode(),
    "URL": lambda secret: quote(secret, safe=""),
    "URL, form": quote_plus,
    "hex": lambda secret: secret.encode().hex(),
    "hex, capitals": lambda secret: secret.encode().hex().upper(),
    "JSON": lambda secret: json.dumps(secret)[1:-1],
    "JSON, unicode kept": lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    "HTML": html.escape,
    "shell": shlex.quote,
}

SECRETS = [
    "hunter2-hunter2",
    'it\'s "quoted" & <tagged> $HOME `x` \\ end',
    "pässwörter/öffnen+1==",
    "line one of it\nline two of it\n",
    "a b%c?d=e&f#g!~*()",
    "x" * 70,
    '{"k": [1, 2]}',
]


def _remains(secret: str, text: str) -> bool:
    """Is a piece of the secret, long enough to hurt, still there?"""
    return any(secret[start : start + 6] in text for start in range(len(secret) - 5))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", SECRETS)
def test_every_form_is_masked_at_every_cut(form: str, secret: str) -> None:
    written = FORMS[form](secret)
    text = f"before {written} after {written}."
    whole = mask(text, [secret])
    assert MASK in whole
    assert not _remains(secret, whole)
    core = written.strip("'").strip()
    assert core[5:-5] not in whole
    assert whole.startswith("before ")
    for cut in range(len(text) + 1):
        masker = Masker([secret])
        assert masker.feed(text[:cut]) + masker.feed(text[cut:]) + masker.end() == whole, cut


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_pieces_give_what_the_whole_gives(data: st.DataObject) -> None:
    alphabet = st.text("ab01Z=\n\r '\"/+%é", min_size=4, max_size=14)
    secrets = data.draw(st.lists(alphabet, min_size=1, max_size=4))
    parts = data.draw(
        st.lists(
            st.one_of(
                alphabet, st.sampled_from(secrets), st.sampled_from(secrets).flatmap(lambda secret: st.sampled_from([form(secret) for form in FORMS.values()]))
            ),
            max_size=8,
        )
    )
    text = "".join(parts)
    masker, position, out = Masker(secrets), 0, ""
    while position < len(text):
        step = data.draw(st.integers(1, 9))
        out += masker.feed(text[position : position + step])
        position += step
    whole = mask(text, secrets)
    assert out + masker.end() == whole
    for secret in secrets:
        if len(secret.strip()) >= 8:
            assert secret not in whole


def test_overlapping_secrets_leave_no_rest() -> None:
    assert mask("x abcdefghijkl y", ["abcdefgh", "efghijkl"]) == f"x {MASK} y"
    assert mask("a" * 20, ["a" * 8]) == MASK


def test_short_values_only_where_they_stand_alone() -> None:
    assert mask("pin 1234, not 12345 nor x1234 or 1234_", ["1234"]) == f"pin {MASK}, not 12345 nor x1234 or 1234_"
    assert mask('{"pin": "1234"}', ["1234"]) == f'{{"pin": "{MASK}"}}'
    assert mask("abc abc", ["abc", "", " "]) == "abc abc"
    masker = Masker(["1234"])
    assert masker.feed("x") + masker.feed("1234") + masker.end() == "x1234"


def test_lines_of_a_long_secret_are_secret() -> None:
    secret = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\nAoIBAQC7VJTUt9Us8cKj\n-----END KEY-----"
    assert mask("error near AoIBAQC7VJTUt9Us8cKj:", [secret]) == f"error near {MASK}:"
    assert "MIIEvQ" not in mask(secret.replace("\n", "\n    "), [secret])


def test_json_values_keys_and_numbers() -> None:
    value = {"token hunter2-hunter2": ["hunter2-hunter2", 1, True, None, 12345678, 1.5], "n": {"u": "ok"}}
    assert mask_json(value, ["hunter2-hunter2", "12345678"]) == {f"token {MASK}": [MASK, 1, True, None, MASK, 1.5], "n": {"u": "ok"}}
    assert mask_json(value, []) is value


def test_text_that_cannot_be_a_secret_is_not_kept_waiting() -> None:
    masker = Masker(["hunter2-hunter2"])
    assert masker.feed("compiling 1 of 3\n") == "compiling 1 of 3\n"
    assert masker.feed("token: hunter2") == "token: "
    assert masker.feed("-hunter2 ok\n") == f"{MASK} ok\n"


def test_endless_repeats_neither_pile_up_nor_slow_down() -> None:
    masker = Masker(["a" * 8, "b\nb\nb\nb\n"])
    started = time.monotonic()
    kept = sum(len(masker.feed("a" * 5_000 + "\n" * 5_000)) for _ in range(40)) + len(masker.end())
    assert time.monotonic() - started < 5
    assert kept < 40 * 5_010


def test_unprintable_secrets_do_not_break_it() -> None:
    assert mask("x\ud800yyyyyyyyz", ["\ud800yyyyyyyy"]) == f"x{MASK}z"
    assert mask("nul \0\0\0\0\0\0\0\0 end", ["\0" * 8]) == f"nul {MASK} end"
