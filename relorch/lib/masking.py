"""Secrets out of text: every known value, and what common tools make of it, becomes `•••` (S25). Pure.

Covered besides the value itself: base64 (all three offsets, both alphabets, wrapped lines), hexadecimal, URL-quoted, JSON-, HTML- and
shell-escaped, and each longer line of a value of many lines. Not covered: what a program computes from a secret (reversed, hashed,
encrypted, spread over lines by hand). Values of 4 to 7 characters are masked only where they stand alone, shorter ones not at all:
they would hide half of every text.
"""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "•••"
LONG = 8
SHORTEST = 4

_ANSI_C = str.maketrans({"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_WORD = re.compile(r"[A-Za-z0-9_]")
_LINE_END = re.compile(r"(?<!\n)\r?\n(?!\r?\n)")
"""A single line end, as tools that wrap their output write it; an empty line ends a secret."""


def _base64_cores(data: bytes) -> Iterator[str]:
    """What base64 of anything that holds `data` must hold: the characters that do not depend on the neighbours, at each of three offsets."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for offset, skipped in ((0, 0), (1, 2), (2, 3)):
            encoded = encode(b"\0" * offset + data).decode()
            yield encoded[skipped : (offset + len(data)) * 8 // 6]


def _escaped(value: str) -> Iterator[str]:
    """The value as text formats write it."""
    for ascii_only in (True, False):
        inner = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield from (inner, inner.replace("/", "\\/"))
    yield repr(value)[1:-1]
    yield html.escape(value, quote=False)
    marked = html.escape(value, quote=True)
    yield from (marked, marked.replace("&#x27;", "&#39;"), marked.replace("&quot;", "&#34;").replace("&#x27;", "&#39;"), marked.replace("&#x27;", "&apos;"))
    yield from (shlex.quote(value).strip("'"), value.replace("'", "'\"'\"'"), value.replace("'", "'\\''"), value.translate(_ANSI_C))
    yield re.sub(r"([^A-Za-z0-9_@%+=:,./-])", r"\\\1", value)
    yield re.sub(r'(["$`\\])', r"\\\1", value)
    raw = value.encode("utf-8", "surrogatepass")
    for quoted in (quote(raw, safe=""), quote(raw), quote_plus(raw), quote(raw, safe="!~*'()")):
        yield from (quoted, re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), quoted))


@dataclass(frozen=True, slots=True)
class _Forms:
    """All texts to look for. `wrapped` are also looked for across line ends, `alone` only where no word goes on at either side."""

    plain: tuple[str, ...]
    wrapped: tuple[str, ...]
    alone: tuple[str, ...]


@lru_cache(maxsize=64)
def _forms(secrets: frozenset[str]) -> _Forms:
    plain: set[str] = set()
    wrapped: set[str] = set()
    alone: set[str] = set()
    for secret in secrets:
        values = {secret, secret.strip(), secret.replace("\r\n", "\n"), secret.replace("\n", "\r\n")}
        values |= {line.strip() for line in secret.splitlines() if len(line.strip()) >= LONG}
        for value in values:
            data = value.encode("utf-8", "surrogatepass")
            encoded = {*_base64_cores(data), data.hex(), data.hex().upper()}
            if len(value) >= LONG:
                plain |= {value, *_escaped(value)}
                wrapped |= encoded
            elif len(value) >= SHORTEST:
                alone |= {value, *_escaped(value), *encoded, base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()}
    return _Forms(*(tuple(sorted(form for form in forms if len(form) >= SHORTEST)) for forms in (plain, wrapped, alone)))


def _occurrences(form: str, text: str) -> Iterator[tuple[int, int]]:
    """Every place of `form`, overlapping ones too: two secrets may share characters."""
    start = text.find(form)
    while start >= 0:
        yield start, start + len(form)
        start = text.find(form, start + 1)


class _Unwrapped:
    """A text without its single line ends, and the way back to the places in it."""

    def __init__(self, text: str) -> None:
        breaks = [found.span() for found in _LINE_END.finditer(text)]
        ends = [start for start, _ in breaks] + [len(text)]
        self.starts = [0] + [end for _, end in breaks]
        self.offsets = [0, *accumulate(end - start for start, end in zip(self.starts, ends, strict=True))][:-1]
        self.text = _LINE_END.sub("", text) if breaks else text

    def place(self, index: int) -> int:
        """Where the character at `index` stands in the original."""
        part = bisect_right(self.offsets, index) - 1
        return self.starts[part] + index - self.offsets[part]


def _covered(forms: _Forms, text: str, before: str) -> list[tuple[int, int]]:
    """Where secrets are, as ordered intervals that do not overlap. `before` is the character that came before `text`, if any."""

    def stands_alone(start: int, end: int) -> bool:
        return not _WORD.match(text[start - 1] if start else before) and not _WORD.match(text[end : end + 1])

    found = [place for form in (*forms.plain, *forms.wrapped) for place in _occurrences(form, text)]
    found += [place for form in forms.alone for place in _occurrences(form, text) if stands_alone(*place)]
    if forms.wrapped and "\n" in text:
        flat = _Unwrapped(text)
        found += [(flat.place(start), flat.place(end - 1) + 1) for form in forms.wrapped for start, end in _occurrences(form, flat.text)]
    merged: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _tail(form: str, text: str) -> int:
    """How many of the last characters of `text` may be the beginning of `form`."""
    start = text.find(form[0], max(0, len(text) - len(form) + 1))
    while start >= 0:
        if form.startswith(text[start:]):
            return len(text) - start
        start = text.find(form[0], start + 1)
    return 0


def _undecided(forms: _Forms, text: str) -> int:
    """The place from which on `text` cannot be judged before more of it has come."""
    longest = max((_tail(form, text) for form in forms.plain), default=0)
    decided = len(text) - longest
    if forms.wrapped and text:
        # A line end may still turn out to stand within a secret, and half of one ("\r") may be a whole one soon.
        # A form with a line end after each character is three times as long.
        skipped = max(0, len(text) - 3 * max(map(len, forms.wrapped)) - 4)
        window = _Unwrapped(text[skipped:].removesuffix("\r"))
        longest = max(_tail(form, window.text) for form in forms.wrapped)
        if longest:
            decided = min(decided, skipped + window.place(len(window.text) - longest))
    if forms.alone and text:
        # One that ends the text stands alone only if no word goes on: it waits too.
        longest = max(max(_tail(form, text), len(form) if text.endswith(form) else 0) for form in forms.alone)
        decided = min(decided, len(text) - longest)
    return decided


class Masker:
    """Masks a text that comes in pieces, cut anywhere; what may be the beginning of a secret waits for the next piece."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._forms = _forms(frozenset(secrets))
        self._idle = not (self._forms.plain or self._forms.wrapped or self._forms.alone)
        self._held = ""
        self._before = ""
        self._masked = 0  # so many of the first held characters belong to a secret whose mask is already out

    def feed(self, text: str) -> str:
        """The next piece of the masked text."""
        if self._idle:
            return text
        text = self._held + text
        return self._take(text, _undecided(self._forms, text))

    def end(self) -> str:
        """What was still held. The masker can be used afresh afterwards."""
        rest = self._take(self._held, len(self._held))
        self._masked, self._before = 0, ""
        return rest

    def _take(self, text: str, decided: int) -> str:
        parts: list[str] = []
        position = self._masked
        for start, end in _covered(self._forms, text, self._before):
            if start >= decided:
                break
            if start >= position:
                parts += (text[position:start], MASK)
            position = max(position, end)
        parts.append(text[position:decided])
        self._held = text[decided:]
        self._before = text[decided - 1] if decided else self._before
        self._masked = max(0, position - decided)
        return "".join(parts)


def mask(text: str, secrets: Iterable[str]) -> str:
    """`text` with every secret, and every usual encoding of one, replaced by `•••`."""
    known = frozenset(secrets)
    if not known:
        return text
    masker = Masker(known)
    return masker.feed(text) + masker.end()


def mask_json(value: Any, secrets: Iterable[str]) -> Any:
    """The JSON value with all its strings (keys too) masked, and numbers that are themselves a secret."""
    known = frozenset(secrets)
    if not known:
        return value
    return _mask_json(value, known)


def _mask_json(value: Any, secrets: frozenset[str]) -> Any:
    if isinstance(value, str):
        return mask(value, secrets)
    if isinstance(value, dict):
        return {mask(key, secrets): _mask_json(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mask_json(item, secrets) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool) and str(value) in secrets:
        return MASK
    return value
