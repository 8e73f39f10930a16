"""Files that people bring: kept under the SHA-256 of their content, outside everything that is served, and given out only by a view that asked for permission.

A file is read once, in pieces, while it is written, hashed and counted; what it is says `sniffing`. Files lie in `RELORCH_HOME/files/<ab>/<hash>` and are
never opened, unpacked or shown here. Whoever gives one out names it, and the browser is told to save it and to run nothing in it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.http import content_disposition_header

from relorch.lib import sniffing
from relorch.lib.errors import Invalid, Unavailable
from relorch.lib.rest import TooLarge

LARGEST = 100_000_000
"""Bytes of one file."""
_PIECE = 64 * 1024
_POLICY = "default-src 'none'; sandbox"


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that is stored: its name, its size in bytes, the SHA-256 of its content, its media type."""

    name: str
    size: int
    hash: str
    media: str


def keep(pieces: Iterable[bytes], name: str, *, accept: Iterable[str] = (), most: int = LARGEST, place: str = "/file") -> Kept:
    """Store a file. Raises TooLarge (413) beyond `most` bytes, Invalid at `place` for a name, kind or content that is not taken; nothing is left then."""
    most = min(most, LARGEST)
    folder = Path(settings.MEDIA_ROOT) / "incoming"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, path = tempfile.mkstemp(dir=folder)  # mkstemp gives mode 0600
    try:
        with os.fdopen(handle, "w+b") as file:
            name = _taken(lambda: sniffing.clean_name(name), place)
            size, digest = _written(file, pieces, most)
            if accept and not name.lower().endswith(tuple(ending.lower() for ending in accept)):
                raise _refusal("file_kind", f"Here files of the kind {', '.join(accept)} are taken.", place)
            media = _taken(lambda: sniffing.media_of(name, file, size), place)
            file.flush()
            os.fsync(file.fileno())
        target = path_of(digest)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        if not target.exists():
            Path(path).replace(target)
    finally:
        Path(path).unlink(missing_ok=True)
    return Kept(name, size, digest, media)


def path_of(digest: str) -> Path:
    """Where a content lies. Raises ValueError for what is no hash."""
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise ValueError("not a SHA-256")
    return Path(settings.MEDIA_ROOT) / digest[:2] / digest


def forget(digest: str) -> None:
    """Remove a content that no row names any more."""
    path_of(digest).unlink(missing_ok=True)


def given_out(request: HttpRequest, kept: Kept) -> StreamingHttpResponse:
    """The file as something to save. Raises Unavailable when it is gone, or is not what was stored. The caller has asked for permission."""
    path = path_of(kept.hash)
    if not path.exists():
        raise Unavailable("file_missing", "This file is no longer stored.")
    if _digest(path) != kept.hash:
        raise Unavailable("file_changed", "This file is not what was stored: it has been changed on the disk.")
    # an application server reads asynchronously, and would else take the whole file into memory
    pieces: Any = _pieces_async(path) if hasattr(request, "scope") else _pieces(path)
    response = StreamingHttpResponse(pieces, content_type=kept.media)
    response["Content-Length"] = str(kept.size)
    response["Content-Disposition"] = content_disposition_header(True, kept.name) or "attachment"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = _POLICY
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    response["ETag"] = f'"{kept.hash}"'
    return response


def _written(file: IO[bytes], pieces: Iterable[bytes], most: int) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    for piece in pieces:
        size += len(piece)
        if size > most:
            raise TooLarge("too_large", f"A file may have {most:,} bytes here.", limit=most)
        digest.update(piece)
        file.write(piece)
    return size, digest.hexdigest()


def _taken(look: Any, place: str) -> Any:
    try:
        return look()
    except sniffing.NotTaken as problem:
        raise _refusal(problem.code, str(problem), place) from None


def _refusal(code: str, message: str, place: str) -> Invalid:
    return Invalid("invalid_file", message, [{"code": code, "severity": "error", "message": message, "place": place}])


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


async def _pieces_async(path: Path) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while piece := await asyncio.to_thread(file.read, _PIECE):
            yield piece
    finally:
        await asyncio.to_thread(file.close)
