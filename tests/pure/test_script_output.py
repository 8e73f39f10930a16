"""What a script writes: its outputs and its log (S23)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from releases.connectors.output import OUTPUTS_BYTES, BadOutput, Log, parse_outputs

GOOD = {
    b"": {},
    b"\n\n  \n": {},
    b"image=shop:1.2": {"image": "shop:1.2"},
    b"image=shop:1.2\n": {"image": "shop:1.2"},
    b"a=1\r\nb=2\r\n": {"a": "1", "b": "2"},
    b"a=\nb= x \n": {"a": "", "b": " x "},
    b"a=b=c<<d\n": {"a": "b=c<<d"},
    b"a=1\na=2\n": {"a": "2"},
    b"_x9=\xc3\xa4\n": {"_x9": "ä"},
    b"notes<<EOF\nline one\n\n  two = 2\nEOF\nlast=1\n": {"notes": "line one\n\n  two = 2", "last": "1"},
    b"empty<<EOF\nEOF": {"empty": ""},
    b"x<<=\na=b\n=\n": {"x": "a=b"},
    b"x<<END OF IT\nEND\nEND OF IT\n": {"x": "END"},
    b'json={"a": "b<<c"}\n': {"json": '{"a": "b<<c"}'},
}

BAD = {
    b"just words\n": "line 1",
    b"a=1\n\nb c=2\n": "line 3",
    b"=x\n": "line 1",
    b"9a=1": "line 1",
    b"a-b=1": "line 1",
    b" a=1": "line 1",
    b"a=1\nnotes<<EOF\nnever closed\n": "line 2",
    b"x<<\ny\n": "line 1",
    b"ok=1\na=\xff\xfe\n": "line 2",
    b"a<<E\nok\n\xff\nE\n": "line 3",
    b"a=\0": "line 1",
    b"a" * 70 + b"=1": "line 1",
    b"a=" + b"x" * OUTPUTS_BYTES: "1,048,576 bytes",
}


@pytest.mark.parametrize("data", GOOD)
def test_outputs(data: bytes) -> None:
    assert parse_outputs(data) == GOOD[data]


@pytest.mark.parametrize("data", BAD)
def test_mistakes_are_named_with_their_line(data: bytes) -> None:
    with pytest.raises(BadOutput, match=BAD[data]):
        parse_outputs(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_outputs_or_a_mistake(data: bytes) -> None:
    try:
        found = parse_outputs(data)
    except BadOutput:
        return
    assert all(isinstance(value, str) and "\0" not in value for value in found.values())


def collect(*pieces: bytes, half: int = 1_000, secrets: tuple[str, ...] = ()) -> str:
    heard: list[str] = []
    log = Log(heard.append, secrets, half)
    for piece in pieces:
        log.write(piece)
    log.end()
    return "".join(heard)


def test_a_log_of_the_full_size_is_whole() -> None:
    text = "".join(f"{number:09}\n" for number in range(200))
    assert len(text) == 2_000
    assert collect(text.encode()) == text
    assert collect(*(text[start : start + 7].encode() for start in range(0, 2_000, 7))) == text


@pytest.mark.parametrize("size", [1, 7, 999, 1_000, 1_001, 100_000])
def test_a_longer_one_keeps_its_first_and_last_half(size: int) -> None:
    text = "".join(f"{number:09}\n" for number in range(10_000)).encode()
    heard = collect(*(text[start : start + size] for start in range(0, len(text), size)))
    head, _, rest = heard.partition("\n[…")
    note, _, tail = rest.partition("…]\n")
    assert head.encode() == text[:1_000]
    assert tail.encode() == text[-1_000:]
    assert "98,000 bytes left out" in note


def test_the_cut_never_splits_a_character() -> None:
    heard = collect("ä€😀".encode() * 2_000, half=1_001)
    assert "�" not in heard
    head, _, tail = heard.partition("\n[…")
    assert 997 <= len(head.encode()) <= 1_001
    assert 997 <= len(tail.partition("…]\n")[2].encode()) <= 1_001


def test_the_first_half_is_told_while_it_comes() -> None:
    heard: list[str] = []
    log = Log(heard.append, half=1_000)
    log.write(b"building\n")
    assert heard == ["building\n"]


def test_bytes_that_are_not_text_are_replaced_and_characters_may_be_split() -> None:
    assert collect(b"a\xff\xfeb\0c\n") == "a��b�c\n"
    assert collect("é".encode()[:1], "é".encode()[1:]) == "é"
    assert collect("é".encode()[:1]) == "�"
    assert collect(b"\x1b[31mred\x1b[0m") == "\x1b[31mred\x1b[0m"


def test_secrets_are_masked_across_pieces_and_at_the_cut() -> None:
    secret = "s3cret-value-of-some-length"
    data = (b"x" * 990) + secret.encode() + (b"y" * 3_000) + secret.encode() + (b"z" * 990)
    for size in (1, 13, 5_000):
        heard = collect(*(data[start : start + size] for start in range(0, len(data), size)), secrets=(secret,))
        assert not any(secret[start : start + 5] in heard for start in range(len(secret) - 4))
        assert heard.count("•••") == 2


def test_a_listener_that_fails_ends_nothing() -> None:
    def listener(text: str) -> None:
        raise OSError("the store is full")

    log = Log(listener)
    log.write(b"one\n")
    log.write(b"two\n")
    log.end()
    assert isinstance(log.failed, OSError)
    assert log.last_lines() == "one\ntwo"


def test_the_last_lines_make_a_message() -> None:
    log = Log(lambda text: None, ("hunter2-hunter2",))
    log.write(b"".join(b"line %d\n" % number for number in range(1_000)) + b"token hunter2-hunter2\n\n")
    log.end()
    assert log.last_lines(3) == "line 998\nline 999\ntoken •••"
    assert len(log.last_lines(100, 50)) == 50
