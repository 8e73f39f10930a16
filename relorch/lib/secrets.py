"""Secrets at rest (S25): encrypted with rotating keys, bound to where they are kept, shown to nobody.

A stored secret is `{"$secret": "<token>"}`, wherever in a JSON value. Its token names the key that made it, and opens only with the context it was
made for (for instance `input_set:7:api_key`): a token copied to another row opens nowhere. Out of the API and the pages goes `{"$secret": true}`.

The keys lie in the home, one per line, newest first, in a file that only its owner may read. Rotating adds a line; whoever keeps tokens renews them.
"""

from __future__ import annotations

import base64
import os
import secrets
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from relorch import environment
from relorch.lib.errors import Unavailable

MARK = "$secret"
HIDDEN = {MARK: True}
_FORMAT = "1"
_NONCE = 12


class SecretUnreadable(Unavailable):
    """A stored secret does not open: its key is gone, or it was moved or changed."""

    def __init__(self, context: str) -> None:
        super().__init__("secret_unreadable", "A stored secret cannot be read; enter it again.", context=context)


def encrypt(text: str, context: str) -> str:
    """A token that opens only with the same context."""
    key_id, key = next(iter(_keys().items()))
    nonce = secrets.token_bytes(_NONCE)
    sealed = AESGCM(key).encrypt(nonce, text.encode(), _bound(key_id, context))
    return f"{_FORMAT}.{key_id}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"


def decrypt(token: str, context: str) -> str:
    """The text of a token. Raises SecretUnreadable when it does not open in this context."""
    try:
        form, key_id, body = token.split(".")
        raw = base64.b64decode(body, altchars=b"-_", validate=True)
        key = _keys()[key_id]
        if form != _FORMAT:
            raise SecretUnreadable(context)
        return AESGCM(key).decrypt(raw[:_NONCE], raw[_NONCE:], _bound(key_id, context)).decode()
    except (ValueError, KeyError, InvalidTag) as error:
        raise SecretUnreadable(context) from error


def renewed(token: str, context: str) -> str:
    """The same secret under the newest key; the token itself when it is that already."""
    return token if token.split(".")[1] == next(iter(_keys())) else encrypt(decrypt(token, context), context)


def stored(text: str, context: str) -> dict[str, str]:
    """A secret as it is kept in JSON."""
    return {MARK: encrypt(text, context)}


def is_secret(value: Any) -> bool:
    """Whether a JSON value is a stored secret."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get(MARK), str)


def is_hidden(value: Any) -> bool:
    """Whether a JSON value is what `hide` puts for a secret: somebody gives back what they were shown."""
    return bool(value == HIDDEN and value[MARK] is True)


def hide(value: Any) -> Any:
    """The JSON value with `{"$secret": true}` in place of each secret."""
    return _replaced(value, lambda _: dict(HIDDEN))


def opened(value: Any, context: str) -> Any:
    """The JSON value with the text of each secret. All of them were made for the one context."""
    return _replaced(value, lambda token: decrypt(token, context))


def renewed_in(value: Any, context: str) -> Any:
    """The JSON value with each secret under the newest key; equal to the value when they are all that already."""
    return _replaced(value, lambda token: {MARK: renewed(token, context)})


def rotate() -> str:
    """Add a new key, with which everything is encrypted from now on; the id of the key. Old tokens still open."""
    path = _path()
    environment.kept(path, _fresh)
    line = _fresh()
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp gives mode 0600
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(f"{line}\n{path.read_text(encoding='utf-8')}")
        file.flush()
        os.fsync(file.fileno())
    Path(beside).replace(path)
    _read.cache_clear()
    return line.split(":")[0]


def _replaced(value: Any, put: Callable[[str], Any]) -> Any:
    if is_secret(value):
        return put(value[MARK])
    if isinstance(value, dict):
        return {key: _replaced(item, put) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, put) for item in value]
    return value


def _bound(key_id: str, context: str) -> bytes:
    return f"{_FORMAT}\n{key_id}\n{context}".encode()


def _path() -> Path:
    return Path(settings.RELORCH_HOME) / "secret-keys"


def _fresh() -> str:
    return f"{secrets.token_hex(4)}:{base64.urlsafe_b64encode(AESGCM.generate_key(256)).decode()}"


def _keys() -> dict[str, bytes]:
    path = _path()
    if not path.exists():
        environment.kept(path, _fresh)
    # The time of the last change is part of the question, so that a rotation is seen by every process at once.
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _read(path: Path, _changed: int) -> dict[str, bytes]:
    found = {}
    for line in path.read_text(encoding="utf-8").split():
        key_id, _, key = line.partition(":")
        found[key_id] = base64.urlsafe_b64decode(key)
    return found
