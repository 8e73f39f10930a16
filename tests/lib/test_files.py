"""Uploads (reliability W-07): a corpus of bad files is refused, what is taken is given out as something to save in which nothing runs."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import RequestFactory

from relorch.lib import bodies, files, sniffing
from relorch.lib.errors import Invalid, Unavailable
from relorch.lib.rest import TooLarge

PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + bytes(40) + b"IEND\xaeB`\x82"
PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n%%EOF\n"
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(40) + b"\xff\xd9"
GIF = b"GIF89a" + bytes(40) + b";"


def packed(**entries: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return out.getvalue()


def bomb() -> bytes:
    """A directory that promises 4 GB in 2 kB, as the known ones do by entries that lie over each other."""
    whole = bytearray(packed(a=b"0" * 1000))
    at = whole.rindex(b"PK\x01\x02")
    whole[at + 24 : at + 28] = (4_000_000_000).to_bytes(4, "little")
    return bytes(whole)


DOCX = packed(**{"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<w/>"})

GOOD = {
    "notes.txt": "Grüße, \U0001f680\n".encode(),
    "junit.xml": b'<?xml version="1.0"?><testsuite tests="3"/>',
    "report.pdf": PDF,
    "shot.PNG": PNG,
    "photo.jpeg": JPEG,
    "anim.gif": GIF,
    "clip.webm": b"\x1a\x45\xdf\xa3" + bytes(60),
    "clip.mp4": b"\0\0\0\x18ftypmp42" + bytes(60),
    "pic.webp": b"RIFF\x10\0\0\0WEBPVP8 " + bytes(30),
    "all.zip": packed(a=b"one", b=b"two"),
    "minutes.docx": DOCX,
    "build.log.gz": gzip.compress(b"line\n" * 1000),
    "release.1.2.3.csv": b"a;b\n1;2\n",
    "C:\\Users\\ann\\evidence.txt": b"a path of another system is no folder here",
    "../../../etc/passwd.txt": b"nor is one that climbs",
}

BAD = {
    # name: (content, code)
    "double ending": ("report.pdf.exe", PDF, "file_kind"),
    "no ending": ("README", b"hello", "file_kind"),
    "only an ending": (".pdf", PDF, "file_kind"),
    "html": ("page.html", b"<html></html>", "file_kind"),
    "svg": ("drawing.svg", b"<svg onload='alert(1)'/>", "file_kind"),
    "script": ("run.sh", b"#!/bin/sh\n", "file_kind"),
    "macros": ("sheet.xlsm", DOCX, "file_kind"),
    "html that says it is text": ("page.txt", b"<!DOCTYPE html><script>alert(1)</script>", "file_content"),
    "html behind a mark": ("page.csv", b"\xef\xbb\xbf  <html>", "file_content"),
    "svg that says it is XML": ("drawing.xml", b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "file_content"),
    "svg that says it is text": ("drawing.txt", b"<svg><script>1</script></svg>", "file_content"),
    "xhtml": ("page.xml", b"<?xml version='1.0'?><h xmlns='http://www.w3.org/1999/xhtml'/>", "file_content"),
    "program that says it is a picture": ("shot.png", b"MZ\x90\0" + bytes(90), "file_content"),
    "program that says it is text": ("readme.txt", b"\x7fELF\x02\x01\x01\0" + bytes(90), "file_content"),
    "picture that says it is a document": ("report.pdf", PNG, "file_content"),
    "picture with a script": ("shot.gif", b"GIF89a/*<script>alert(1)</script>*/", "file_content"),
    "picture and PHP": ("shot.jpg", JPEG[:20] + b"<?php system($_GET[0]);" + JPEG[20:], "file_content"),
    "picture and archive": ("shot.png", PNG + packed(a=b"x"), "file_content"),
    "document and archive": ("report.pdf", PDF + packed(a=b"x"), "file_content"),
    "picture and document": ("shot.gif", b"GIF89a" + b"\n%PDF-1.4\n" + bytes(30), "file_content"),
    "archive bomb": ("all.zip", bomb(), "file_bomb"),
    "document bomb": ("minutes.docx", bomb(), "file_bomb"),
    "packed log bomb": ("build.gz", gzip.compress(b"x")[:-4] + (4_000_000_000).to_bytes(4, "little"), "file_bomb"),
    "archive that climbs": ("all.zip", packed(**{"../../etc/cron.d/x": b"1"}), "file_content"),
    "archive with a root": ("all.zip", packed(**{"/etc/cron.d/x": b"1"}), "file_content"),
    "archive with a drive": ("all.zip", packed(**{"c:\\windows\\x": b"1"}), "file_content"),
    "archive that is none": ("all.zip", b"PK\x03\x04" + bytes(50), "file_content"),
    "document that is an archive": ("minutes.docx", packed(a=b"x"), "file_content"),
    "document with macros": ("minutes.docx", packed(**{"[Content_Types].xml": b"<T/>", "word/vbaProject.bin": b"x"}), "file_content"),
    "nothing": ("notes.txt", b"", "file_empty"),
    "NUL in the name": ("notes.txt\0.png", PNG, "file_name"),
    "a line in the name": ("no\ntes.txt", b"x", "file_name"),
    "a name that reads backwards": ("invoice\u202egnp.txt", b"x", "file_name"),
    "a name that is a folder": ("../../", b"x", "file_name"),
    "a long name": ("n" * 300 + ".txt", b"x", "file_name"),
    "text that is no UTF-8": ("notes.txt", b"\xff\xfe\x41\0", "file_content"),
    "text with NUL": ("notes.txt", b"a\0b", "file_content"),
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, settings: Any) -> Iterator[Path]:
    settings.MEDIA_ROOT = tmp_path / "files"
    yield settings.MEDIA_ROOT
    incoming = settings.MEDIA_ROOT / "incoming"
    assert not incoming.exists() or not list(incoming.iterdir()), "nothing half-written is left"


@pytest.mark.parametrize("name", GOOD)
def test_what_is_taken_lies_under_its_hash_and_is_given_out_to_be_saved(name: str, home: Path) -> None:
    content = GOOD[name]
    kept = files.keep([content[:3], content[3:]], name)
    assert kept.hash == hashlib.sha256(content).hexdigest()
    assert (kept.size, "/" in kept.name, "\\" in kept.name, ".." in kept.name) == (len(content), False, False, False)
    assert files.path_of(kept.hash).read_bytes() == content
    assert files.path_of(kept.hash).stat().st_mode & 0o077 == 0
    answer = files.given_out(RequestFactory().get("/"), kept)
    assert b"".join(answer) == content
    assert answer["Content-Disposition"].startswith("attachment; filename")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"]
    assert not answer["Content-Type"].startswith(("text/html", "image/svg", "application/xml", "text/xml", "application/javascript"))


@pytest.mark.parametrize("case", BAD)
def test_the_corpus_is_refused_and_leaves_nothing(case: str, home: Path) -> None:
    name, content, code = BAD[case]
    with pytest.raises(Invalid) as refusal:
        files.keep([content], name, place="/fields/report")
    assert [(found["code"], found["place"]) for found in refusal.value.problems] == [(code, "/fields/report")]
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_what_is_too_large_ends_before_it_is_read(home: Path) -> None:
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 1_000_000
            yield bytes(1_000_000)

    with pytest.raises(TooLarge):
        files.keep(endless(), "clip.mp4", most=5_000_000)
    assert read == 6_000_000
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_a_field_says_which_endings_it_takes() -> None:
    with pytest.raises(Invalid, match=r"\.pdf"):
        files.keep([PNG], "shot.png", accept=(".pdf",))
    assert files.keep([PDF], "Report.PDF", accept=(".pdf",)).media == "application/pdf"


def test_the_same_content_lies_there_once_and_a_changed_one_is_not_given_out(home: Path) -> None:
    one, two = files.keep([PDF], "a.pdf"), files.keep([PDF], "b.pdf")
    assert one.hash == two.hash
    assert len([path for path in home.rglob("*") if path.is_file()]) == 1
    files.path_of(one.hash).write_bytes(PDF + b"forged")
    with pytest.raises(Unavailable) as refusal:
        files.given_out(RequestFactory().get("/"), one)
    assert refusal.value.code == "file_changed"
    files.forget(one.hash)
    with pytest.raises(Unavailable):
        files.given_out(RequestFactory().get("/"), two)
    with pytest.raises(ValueError, match="SHA-256"):
        files.path_of("../../secret_key")


def test_every_kind_has_a_content_that_fits() -> None:
    tried = {sniffing.ending_of(name) for name in GOOD}
    assert {kind.media for kind in sniffing.KINDS.values()} - {sniffing.KINDS[ending].media for ending in tried} <= {
        sniffing.KINDS[ending].media for ending in (".xlsx", ".pptx", ".odt", ".ods")
    }


# --- the door before Django ---------------------------------------------------------------------------------------------------------------


def asked(path: str, pieces: list[bytes], *, length: int | None = None) -> tuple[int, int]:
    """Status and bytes that came through."""
    came = 0

    async def application(scope: Any, receive: Any, send: Any) -> None:
        nonlocal came
        more = True
        while more:
            message = await receive()
            came += len(message["body"])
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    queue = [{"type": "http.request", "body": piece, "more_body": n + 1 < len(pieces)} for n, piece in enumerate(pieces)]
    statuses: list[int] = []

    async def receive() -> Any:
        return queue.pop(0)

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    headers = [(b"content-length", str(length).encode())] if length is not None else []
    asyncio.run(bodies.bounded(application)({"type": "http", "path": path, "headers": headers}, receive, send))
    (status,) = statuses
    return status, came


def test_a_body_is_bounded_before_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MOST", 10)
    monkeypatch.setattr(bodies, "MOST_UPLOADED", 100)
    assert asked("/api/v1/releases/", [b"12345", b"12345"]) == (200, 10)
    assert asked("/api/v1/releases/", [b"12345", b"123456"])[0] == 413, "a chunked body says no length"
    assert asked("/api/v1/releases/", [b""], length=11) == (413, 0)
    assert asked("/api/v1/releases/1/attachments/", [b"1" * 100]) == (200, 100)
    assert asked("/api/v1/uploads/signed:once/", [b"1" * 100]) == (200, 100)
    assert asked("/approvals/1/qa/sign_off/", [b"1" * 101])[0] == 413
