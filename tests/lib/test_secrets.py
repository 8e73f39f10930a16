"""Secrets at rest: encrypted, bound, rotated, never shown (S25)."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from relorch.lib import secrets


@pytest.fixture(autouse=True)
def home(tmp_path: Path, settings: Any) -> Path:
    settings.RELORCH_HOME = tmp_path
    return tmp_path


def test_a_secret_opens_in_its_context_and_nowhere_else() -> None:
    token = secrets.encrypt("swordfish ü", "input_set:7:api_key")
    assert "swordfish" not in token
    assert secrets.decrypt(token, "input_set:7:api_key") == "swordfish ü"
    with pytest.raises(secrets.SecretUnreadable):
        secrets.decrypt(token, "input_set:8:api_key")


def test_the_same_text_never_gives_the_same_token() -> None:
    assert secrets.encrypt("x", "c") != secrets.encrypt("x", "c")


@pytest.mark.parametrize(
    "broken", ["", "1", "1.2", "1.nokey.AAAA", "x.y.z", "1.{key}.", "1.{key}.%%%", "2.{key}.{body}", "1.{key}.{body}A", "1.{key}.{changed}"]
)
def test_what_was_tampered_with_does_not_open(broken: str) -> None:
    _, key, body = secrets.encrypt("x", "c").split(".")
    changed = ("A" if body[0] != "A" else "B") + body[1:]
    with pytest.raises(secrets.SecretUnreadable) as caught:
        secrets.decrypt(broken.format(key=key, body=body, changed=changed), "c")
    assert body not in str(caught.value)


def test_keys_are_for_their_owner_only(home: Path) -> None:
    secrets.encrypt("x", "c")
    assert stat.S_IMODE((home / "secret-keys").stat().st_mode) == 0o600
    secrets.rotate()
    assert stat.S_IMODE((home / "secret-keys").stat().st_mode) == 0o600
    assert [path.name for path in home.iterdir()] == ["secret-keys"]


def test_after_a_rotation_old_tokens_open_and_new_ones_use_the_new_key() -> None:
    old = secrets.encrypt("x", "c")
    key = secrets.rotate()
    assert secrets.decrypt(old, "c") == "x"
    assert secrets.encrypt("y", "c").split(".")[1] == key
    new = secrets.renewed(old, "c")
    assert new.split(".")[1] == key
    assert secrets.decrypt(new, "c") == "x"
    assert secrets.renewed(new, "c") == new


def test_a_lost_key_is_said_and_not_guessed(home: Path) -> None:
    token = secrets.encrypt("x", "c")
    (home / "secret-keys").unlink()
    with pytest.raises(secrets.SecretUnreadable):
        secrets.decrypt(token, "c")


def test_hiding_reaches_every_depth_and_changes_nothing_else() -> None:
    value = {"a": secrets.stored("x", "c"), "b": [1, {"c": secrets.stored("y", "c")}], "d": {"$secret": 3}, "e": {"$secret": "x", "more": 1}}
    assert secrets.hide(value) == {"a": {"$secret": True}, "b": [1, {"c": {"$secret": True}}], "d": {"$secret": 3}, "e": {"$secret": "x", "more": 1}}
    assert secrets.opened(value, "c") == {"a": "x", "b": [1, {"c": "y"}], "d": {"$secret": 3}, "e": {"$secret": "x", "more": 1}}


def test_what_is_shown_for_a_secret_is_known_again() -> None:
    assert secrets.is_hidden(secrets.hide(secrets.stored("x", "c")))
    assert not secrets.is_hidden({"$secret": 1})
    assert not secrets.is_hidden({"$secret": "text"})
    assert not secrets.is_hidden("text")
