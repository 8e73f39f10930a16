"""What a file is, by its content: its ending must agree, and nothing is taken that a browser could run. Pure."""

from __future__ import annotations

import struct
import unicodedata
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

LONGEST_NAME = 200
HEAD, TAIL = 4096, 70_000
"""Bytes looked at; the directory of a ZIP file begins in the last 66 KB where it is hidden behind something else."""
MOST_UNPACKED = 200_000_000
MOST_RATIO = 200
"""A packed file that grows beyond both is a bomb."""
MOST_ENTRIES = 10_000
_ACTIVE = (b"<script", b"<html", b"<!doctype html", b"<svg", b"<?php", b"<iframe", b"javascript:")
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


class NotTaken(ValueError):
    """A file that is not taken: a stable code and a sentence for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file: the media type with which it is given out again, and whether a content is one."""

    media: str
    fits: Callable[[bytes], bool]
    packed: bool = False


def _starts(*signatures: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(signatures)


def _is_text(head: bytes) -> bool:
    if b"\x00" in head:
        return False
    try:
        # a character may be cut at the end of what was read
        text = head.decode("utf-8-sig") if len(head) < HEAD else head[: HEAD - 4].decode("utf-8-sig", "ignore")
    except UnicodeDecodeError:
        return False
    return not any(unicodedata.category(letter) == "Cc" and letter not in "\t\n\r\f\x1b\x08" for letter in text)


_TEXT = Kind("text/plain; charset=utf-8", _is_text)
_ZIP = _starts(b"PK\x03\x04", b"PK\x05\x06")
_OFFICE = "application/vnd.openxmlformats-officedocument."
KINDS: dict[str, Kind] = {
    **dict.fromkeys((".txt", ".log", ".md", ".csv", ".tsv", ".json", ".yaml", ".yml", ".xml", ".diff", ".patch", ".sarif"), _TEXT),
    ".png": Kind("image/png", _starts(b"\x89PNG\r\n\x1a\n")),
    **dict.fromkeys((".jpg", ".jpeg"), Kind("image/jpeg", _starts(b"\xff\xd8\xff"))),
    ".gif": Kind("image/gif", _starts(b"GIF87a", b"GIF89a")),
    ".webp": Kind("image/webp", lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP"),
    ".pdf": Kind("application/pdf", _starts(b"%PDF-")),
    **dict.fromkeys((".mp4", ".m4v", ".mov"), Kind("video/mp4", lambda head: head[4:8] == b"ftyp")),
    ".webm": Kind("video/webm", _starts(b"\x1a\x45\xdf\xa3")),
    ".zip": Kind("application/zip", _ZIP, packed=True),
    ".docx": Kind(f"{_OFFICE}wordprocessingml.document", _ZIP, packed=True),
    ".xlsx": Kind(f"{_OFFICE}spreadsheetml.sheet", _ZIP, packed=True),
    ".pptx": Kind(f"{_OFFICE}presentationml.presentation", _ZIP, packed=True),
    ".odt": Kind("application/vnd.oasis.opendocument.text", _ZIP, packed=True),
    ".ods": Kind("application/vnd.oasis.opendocument.spreadsheet", _ZIP, packed=True),
    ".gz": Kind("application/gzip", _starts(b"\x1f\x8b\x08")),
}
"""Ending -> what a file with it must be. What is not here (HTML, SVG, scripts, programs, macros) is not taken."""


def clean_name(name: str) -> str:
    """The file's own name, without any folder. Raises NotTaken for a name that could deceive or that no system keeps."""
    name = unicodedata.normalize("NFC", name)
    if "\0" in name or any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name) or not _BIDI.isdisjoint(name):
        raise NotTaken("file_name", "The name of this file holds characters that are not shown.")
    name = name.replace("\\", "/").rsplit("/", 1)[-1].strip().lstrip(".")
    if not name or len(name) > LONGEST_NAME:
        raise NotTaken("file_name", f"A file needs a name of at most {LONGEST_NAME} characters.")
    return name


def ending_of(name: str) -> str:
    """The last ending, in lower case, with its dot; "" where there is none."""
    stem, dot, last = name.rpartition(".")
    return f".{last.lower()}" if dot and stem else ""


def kind_of(name: str) -> Kind:
    """What a file of this name must be. Raises NotTaken."""
    kind = KINDS.get(ending_of(name))
    if kind is None:
        raise NotTaken("file_kind", f"Files of this kind are not taken. Taken are {', '.join(sorted(KINDS))}.")
    return kind


def media_of(name: str, file: IO[bytes], size: int) -> str:
    """The media type with which a file of this name and content is given out again. Raises NotTaken."""
    kind = kind_of(name)
    if not size:
        raise NotTaken("file_empty", "This file is empty.")
    file.seek(0)
    head = file.read(HEAD)
    file.seek(max(0, size - TAIL))
    tail = file.read(TAIL)
    if not kind.fits(head):
        raise NotTaken("file_content", f"The content of this file is not what its ending {ending_of(name)} says.")
    if kind.packed:
        _check_packed(file, name, size)
    elif _hides_something(kind, head, tail):
        raise NotTaken("file_content", "This file is two things at once: it holds something that its ending does not say.")
    elif ending_of(name) == ".gz" and _grows(struct.unpack("<I", tail[-4:].rjust(4, b"\0"))[0], size):
        raise NotTaken("file_bomb", "Unpacked this file would be far larger than it says.")
    return kind.media


def _hides_something(kind: Kind, head: bytes, tail: bytes) -> bool:
    """A second nature: a ZIP directory at the end, or what a browser would run at the beginning."""
    start = head[:1024].lower()
    if kind is _TEXT:
        return start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"<!doctype html", b"<html", b"<svg", b"<script", b"<?php")) or (
            start.lstrip().startswith(b"<?xml") and (b"<svg" in head.lower() or b"http://www.w3.org/1999/xhtml" in head.lower())
        )
    return b"PK\x05\x06" in tail or any(mark in start for mark in _ACTIVE) or (b"%pdf-" in start[1:])


def _check_packed(file: IO[bytes], name: str, size: int) -> None:
    """The directory is read, nothing is unpacked."""
    try:
        with zipfile.ZipFile(file) as packed:
            entries = packed.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, OSError, RuntimeError, struct.error):
        raise NotTaken("file_content", "This file cannot be read as what its ending says.") from None
    if len(entries) > MOST_ENTRIES or _grows(sum(entry.file_size for entry in entries), size):
        raise NotTaken("file_bomb", "Unpacked this file would be far larger than it says.")
    paths = [entry.filename.replace("\\", "/") for entry in entries]
    if any(path.startswith("/") or ":" in path.split("/")[0] or ".." in path.split("/") for path in paths):
        raise NotTaken("file_content", "This file would be unpacked outside its folder.")
    if any(path.lower().endswith("vbaproject.bin") for path in paths):
        raise NotTaken("file_content", "Documents with macros are not taken.")
    if name.lower().endswith((".docx", ".xlsx", ".pptx")) and "[Content_Types].xml" not in paths:
        raise NotTaken("file_content", "This file is not the document that its ending says.")
    if name.lower().endswith((".odt", ".ods")) and "mimetype" not in paths:
        raise NotTaken("file_content", "This file is not the document that its ending says.")


def _grows(unpacked: int, size: int) -> bool:
    return unpacked > MOST_UNPACKED and unpacked > size * MOST_RATIO
