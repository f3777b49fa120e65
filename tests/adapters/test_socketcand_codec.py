"""The socketcand protocol: what requests mean, that no cut and no garbage changes it, and python-can's own reading."""

from __future__ import annotations

import logging

import pytest
from can.interfaces.socketcand import socketcand as client
from hypothesis import given
from hypothesis import strategies as st

from opendiag.adapters.message import from_message, to_message
from opendiag.adapters.socketcand_codec import (
    MAX_REQUEST,
    Echo,
    Mode,
    Open,
    Rejected,
    Request,
    RequestParser,
    Send,
    error_message,
    frame_message,
)
from opendiag.frame import Frame

STANDARD = st.builds(Frame, can_id=st.integers(0, 0x7FF), data=st.binary(max_size=8))
EXTENDED = st.builds(Frame, can_id=st.integers(0, 0x1FFF_FFFF), data=st.binary(max_size=8), extended=st.just(True))
REMOTE = st.builds(Frame, can_id=st.integers(0, 0x7FF), remote=st.just(True), dlc=st.integers(1, 8))


def parse(data: bytes) -> list[Request]:
    return RequestParser().feed(data)


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("< open can0 >", Open("can0")),
        ("<open sim>", Open("sim")),
        ("< rawmode >", Mode("raw")),
        ("< bcmmode >", Mode("bcm")),
        ("< echo >", Echo()),
        ("< send 601 8 40 41 60 0 0 0 0 0 >", Send(Frame(0x601, bytes.fromhex("4041600000000000")))),
        ("< send 80 0 >", Send(Frame(0x80))),
        ("< send 00000601 1 ff >", Send(Frame(0x601, b"\xff", extended=True))),
        ("< send 665 4  >", Send(Frame(0x665, remote=True, dlc=4))),
    ],
)
def test_what_a_request_means(text: str, request_: Request) -> None:
    assert parse(text.encode()) == [request_]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("< send 800 0 >", "outside"),
        ("< send FFFFFFFF 0 >", "outside"),
        ("< send 0601 0 >", "0601 is no identifier"),
        ("< send +60 0 >", "+60 is no identifier"),
        ("< send 601 9 >", "length 9: expected 0 to 8"),
        ("< send 601 -1 >", "length -1"),
        ("< send 601 2 1 >", "length 2, but 1 data byte"),
        ("< send 601 1 1 2 >", "length 1, but 2 data bytes"),
        ("< send 601 1 100 >", "100 is no data byte"),
        ("< send 601 1 x >", "x is no data byte"),
        ("< send 601 >", "unknown request"),
        ("< open >", "unknown request"),
        ("< open a b >", "unknown request"),
        ("< teamode >", "unknown request"),
        ("< >", "unknown request"),
        ("< sénd 601 0 >", "unknown request"),
        ("GET / HTTP/1.1\n", "not a request"),
        ("< open < echo >", "a request without its end"),
        ("<" + "x" * (MAX_REQUEST + 1), "a request longer than 256 bytes"),
    ],
)
def test_what_is_no_request_is_said(text: str, reason: str) -> None:
    first = parse(text.encode())[0]
    assert isinstance(first, Rejected)
    assert reason in first.reason


def test_requests_go_on_after_garbage() -> None:
    parser = RequestParser()
    assert [type(item) for item in parser.feed(b"\r\n\0 < echo >\n?!< echo >> < open < echo >")] == [
        Echo,
        Rejected,
        Echo,
        Rejected,
        Rejected,
        Echo,
    ]
    assert parser.rejected == 3


def test_rejections_show_what_was_seen() -> None:
    found = parse(b"hello\x1b[31m\nxx" + b"y" * 300 + b"\n")
    assert next(item.seen for item in found if isinstance(item, Rejected)) == "hello.[31m"
    assert all(len(item.seen) <= 60 for item in found if isinstance(item, Rejected))


_PIECES = st.sampled_from(
    [b"< echo >", b"< open sim >", b"< send 123 2 1 2 >", b"<", b">", b" ", b"\n", b"x" * 300, b"< send", b"\0"]
)


@given(st.lists(_PIECES | st.binary(max_size=20), max_size=8).map(b"".join), st.data())
def test_cuts_do_not_matter(stream: bytes, data: st.DataObject) -> None:
    whole = RequestParser()
    expected = whole.feed(stream)
    parser, found, at = RequestParser(), [], 0
    while at < len(stream):
        step = data.draw(st.integers(1, len(stream) - at))
        found += parser.feed(stream[at : at + step])
        at += step
        assert parser.waiting <= MAX_REQUEST
    assert found == expected
    assert parser.rejected == whole.rejected == sum(isinstance(item, Rejected) for item in expected)


@given(st.lists(STANDARD | EXTENDED | REMOTE, max_size=6), st.binary(max_size=30).filter(lambda junk: b"<" not in junk))
def test_python_cans_requests_come_through_garbage(frames: list[Frame], junk: bytes) -> None:
    texts = [client.convert_can_message_to_ascii_message(to_message(frame)).encode() for frame in frames]
    found = parse(b"".join(junk + text for text in texts))
    assert [item.frame for item in found if isinstance(item, Send)] == frames


@given(STANDARD | EXTENDED, st.integers(0, 2**33))
def test_python_can_reads_the_frames(frame: Frame, microseconds: int) -> None:
    text = frame_message(frame, microseconds / 1e6).decode()
    message = client.convert_ascii_message_to_can_message(text)
    assert from_message(message) == Frame(
        frame.can_id, frame.data, extended=frame.extended, direction="rx", time_ns=from_message(message).time_ns
    )
    assert message.timestamp == pytest.approx(microseconds / 1e6, abs=1e-6)


def test_a_frame_keeps_its_own_time() -> None:
    frame = Frame(0x80, time_ns=1_436_509_052_249_713_999)
    assert frame_message(frame, 5.0) == b"< frame 080 1436509052.249713  >"


def test_python_can_reads_error_frames() -> None:
    text = frame_message(Frame(0x4, bytes(8), error=True), 2.5)
    assert text == b"< error 004 2.500000 >"
    message = client.convert_ascii_message_to_can_message(text.decode())
    assert (message.is_error_frame, message.arbitration_id, message.timestamp) == (True, 4, 2.5)


def test_what_the_protocol_cannot_say() -> None:
    assert frame_message(Frame(0x665, remote=True, dlc=8), 0.0) == b""
    assert frame_message(Frame(0x665, bytes(12), fd=True), 0.0) == b""


@given(st.text(max_size=300))
def test_an_error_is_one_short_message(sentence: str) -> None:
    message = error_message(sentence)
    assert message.startswith(b"< error ") and message.endswith(b" >")
    assert (message.count(b"<"), message.count(b">")) == (1, 1)
    assert len(message) < 200 and message.decode("ascii").isprintable()


def test_python_can_notices_an_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    with pytest.raises(ValueError):
        client.convert_ascii_message_to_can_message(error_message("cannot open can7").decode())
