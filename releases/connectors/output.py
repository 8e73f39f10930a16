"""What a script writes: its log, cut in the middle when it is too long, and the file `$RELORCH_OUTPUT` (S23). Pure."""

from __future__ import annotations

import codecs
import re
from collections import deque
from collections.abc import Callable

from releases.connectors.checking import storable
from relorch.lib.masking import Masker

HALF = 5 * 1024 * 1024
OUTPUTS_BYTES = 1024 * 1024
_LAST = 4_000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


class Log:
    """Bytes in, text out: decoded (what is not UTF-8 is replaced), masked, whole up to 10 MiB; of more the first and the last 5 MiB.

    The first half goes on as it comes, the rest at the end. A listener that fails must not end a deployment: `failed` keeps its first error.
    """

    def __init__(self, listener: Callable[[str], None], secrets: tuple[str, ...] = (), half: int = HALF) -> None:
        self._listener = listener
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._masker = Masker(secrets)
        self._half = half
        self._room = half
        self._later: deque[bytes] = deque()
        self._later_bytes = 0
        self._left_out = 0
        self._last = ""
        self.failed: Exception | None = None

    def write(self, data: bytes) -> None:
        """The next piece, cut anywhere."""
        self._take(self._masker.feed(self._decoder.decode(data)))

    def end(self) -> None:
        """No more will come: tell what was held back."""
        self._take(self._masker.feed(self._decoder.decode(b"", final=True)) + self._masker.end())
        kept = b"".join(self._later)
        if len(kept) > self._half:
            whole = len(kept)
            kept = kept[whole - self._half :]
            while kept and kept[0] & 0xC0 == 0x80:  # not in the middle of a character
                kept = kept[1:]
            self._left_out += whole - len(kept)
        if self._left_out:
            self._tell(f"\n[… {self._left_out:,} bytes left out here: the log is longer than {2 * self._half:,} bytes …]\n")
        self._tell(kept.decode())

    def last_lines(self, count: int = 8, characters: int = 1_000) -> str:
        """The end of the log, for a message."""
        return "\n".join(self._last.strip().splitlines()[-count:])[-characters:]

    def _take(self, text: str) -> None:
        text = storable(text)
        if not text:
            return
        self._last = (self._last + text)[-_LAST:]
        if self._room:
            data = text.encode()
            if len(data) <= self._room:
                self._room -= len(data)
                self._tell(text)
                return
            cut = self._room
            while cut and data[cut] & 0xC0 == 0x80:
                cut -= 1
            self._tell(data[:cut].decode())
            self._room = 0
            text = data[cut:].decode()
        piece = text.encode()
        self._later.append(piece)
        self._later_bytes += len(piece)
        while self._later_bytes - len(self._later[0]) >= self._half:
            gone = len(self._later.popleft())
            self._later_bytes -= gone
            self._left_out += gone

    def _tell(self, text: str) -> None:
        if not text or self.failed:
            return
        try:
            self._listener(text)
        except Exception as problem:
            self.failed = problem


class BadOutput(ValueError):
    """`$RELORCH_OUTPUT` cannot be read; the message names the line."""


def parse_outputs(data: bytes) -> dict[str, str]:
    """The values of `name=value` lines and `name<<END` blocks. The last value of a name wins. Raises BadOutput."""
    if len(data) > OUTPUTS_BYTES:
        raise BadOutput(f"$RELORCH_OUTPUT holds more than {OUTPUTS_BYTES:,} bytes")
    found: dict[str, str] = {}
    lines = data.split(b"\n")
    number = 0
    while number < len(lines):
        line = _text(lines[number], number)
        number += 1
        if not line.strip():
            continue
        name, value, end = _assignment(line, number)
        if not end:
            found[name] = value
            continue
        block: list[str] = []
        first = number
        while True:
            if number >= len(lines):
                raise BadOutput(f"$RELORCH_OUTPUT, line {first}: the block {name} is not closed by a line {end}")
            line = _text(lines[number], number)
            number += 1
            if line == end:
                break
            block.append(line)
        found[name] = "\n".join(block)
    return found


def _assignment(line: str, number: int) -> tuple[str, str, str]:
    """Name and value of `name=value`; name and closing line of `name<<END`."""
    equals, block = line.find("="), line.find("<<")
    opens = block >= 0 and (equals < 0 or block < equals)
    name, _, rest = line.partition("<<" if opens else "=")
    if equals < 0 and not opens:
        raise BadOutput(f"$RELORCH_OUTPUT, line {number}: neither name=value nor name<<END")
    if not _NAME.fullmatch(name):
        raise BadOutput(f"$RELORCH_OUTPUT, line {number}: {name[:80]!r} is not a name; letters, digits and _ make one")
    if opens and not rest.strip():
        raise BadOutput(f"$RELORCH_OUTPUT, line {number}: after << the word is missing that closes the block")
    return (name, "", rest) if opens else (name, rest, "")


def _text(line: bytes, index: int) -> str:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise BadOutput(f"$RELORCH_OUTPUT, line {index + 1}: not UTF-8") from None
    if "\0" in text:
        raise BadOutput(f"$RELORCH_OUTPUT, line {index + 1}: holds a NUL byte")
    return text.removesuffix("\r")
