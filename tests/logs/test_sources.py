"""Where captures come from: files, packed or not, in any encoding; streams and pipes; what is no capture at all."""

from __future__ import annotations

import gzip
import io
import os
import random
import threading
from pathlib import Path

import pytest

from opendiag.errors import LogNotFound, NotALog
from opendiag.logs import open_log

TEXT = "  can0  665   [2]  40 78\n(1.5) can0 5E5#6078\n"
IDS = [0x665, 0x5E5]


def ids(source: object) -> list[int]:
    return [frame.can_id for frame in open_log(source)]


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "capture"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.rstrip("\n").encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        ("Über den Bus: 25 °C\n" + TEXT).encode("latin-1"),
        ("Über den Bus: 25 °C\n" + TEXT).encode("utf-8"),
        gzip.compress(TEXT.encode()),
        gzip.compress(TEXT.encode("utf-16")),
        gzip.compress(TEXT[:20].encode()) + gzip.compress(TEXT[20:].encode()),
    ],
    ids=["plain", "crlf", "cut", "bom", "utf16le", "utf16be", "latin1", "utf8", "gzip", "gzip-utf16", "two-gzips"],
)
def test_the_same_frames_whatever_the_file_is_written_in(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path, content)
    assert ids(path) == IDS
    assert ids(str(path)) == IDS
    with path.open("rb") as stream:
        assert ids(stream) == IDS
    assert ids(io.BufferedReader(io.BytesIO(content))) == IDS


def test_utf16_on_standard_input_of_bytes_is_one_capture() -> None:
    log = open_log(io.BufferedReader(io.BytesIO(TEXT.encode("utf-16"))))
    assert [frame.can_id for frame in log] == IDS
    assert (log.name, log.bytes_total, log.bytes_read) == ("standard input", None, 0)


def test_an_open_text_file_and_a_list_of_lines(tmp_path: Path) -> None:
    with written(tmp_path, TEXT.encode()).open(encoding="ascii") as stream:
        log = open_log(stream)
        assert [frame.can_id for frame in log] == IDS
        assert log.name.endswith("capture")
        assert not stream.closed
    assert ids(TEXT.splitlines()) == IDS


def test_undecodable_text_on_a_text_stream_is_not_fatal(tmp_path: Path) -> None:
    with written(tmp_path, b"25 \xb0C\n" + TEXT.encode()).open(encoding="utf-8") as stream:
        assert ids(stream) == IDS


def test_counters_of_a_file(tmp_path: Path) -> None:
    path = written(tmp_path, f"hello\n{TEXT}".encode())
    log = open_log(path)
    size = path.stat().st_size
    assert (log.bytes_total, log.frames, log.lines, log.format) == (size, 0, 0, "unknown format")
    frames = iter(log)
    next(frames)
    assert (log.frames, log.lines, log.unread, log.format) == (1, 2, 1, "candump console")
    assert 0 < log.bytes_read <= size
    assert len(list(frames)) == 1
    assert (log.frames, log.lines, log.bytes_read) == (2, 3, size)


def test_bytes_of_a_packed_file_are_those_on_the_disk(tmp_path: Path) -> None:
    path = written(tmp_path, gzip.compress(TEXT.encode() * 1000))
    log = open_log(path)
    assert len(list(log)) == 2000
    assert log.bytes_read == log.bytes_total == path.stat().st_size < len(TEXT) * 1000


def test_a_file_that_is_left_early_is_closed(tmp_path: Path) -> None:
    """An unclosed file is a ResourceWarning, and those are errors here."""
    with open_log(written(tmp_path, TEXT.encode())) as log:
        assert next(iter(log)).can_id == 0x665


@pytest.mark.parametrize("content", [b"", b"\n\n", gzip.compress(b"")], ids=["empty", "blank", "gzip"])
def test_an_empty_file(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path, content)
    with pytest.raises(NotALog) as failed:
        ids(path)
    assert failed.value.lines == content.count(b"\n") * (content[:1] == b"\n")
    assert failed.value.example == ""
    assert str(failed.value).startswith(str(path))


def test_a_text_without_frames(tmp_path: Path) -> None:
    path = written(tmp_path, b"\nDear support,\nit does not turn.\n")
    with pytest.raises(NotALog) as failed:
        ids(path)
    assert str(failed.value) == (
        f"{path}: no CAN frame in 3 lines; the first line is 'Dear support,'; "
        "expected candump output such as 'can0  665   [8]  40 78 60 00 00 00 00 00'"
    )


@pytest.mark.parametrize(
    "content", [b"\x7fELF\x02\x01\0\0" * 9, random.Random(1).randbytes(9000)], ids=["elf", "noise"]
)
def test_a_binary_file(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path, content)
    with pytest.raises(NotALog, match="is not text: expected candump output"):
        open_log(path)
    with pytest.raises(NotALog, match="is not text"):
        ids(io.BufferedReader(io.BytesIO(content)))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(LogNotFound) as failed:
        open_log(tmp_path / "no.log")
    assert str(failed.value) == f"cannot read {tmp_path / 'no.log'}: no such file or directory"


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(LogNotFound, match="directory"):
        open_log(tmp_path)


def test_a_damaged_gzip_file_gives_what_can_be_read(tmp_path: Path) -> None:
    lines = "".join(f"({place}.000000) can0 123#{place:016X}\n" for place in range(5000))
    packed = gzip.compress(lines.encode())
    log = open_log(written(tmp_path, packed[: len(packed) // 2]))
    frames = list(log)
    assert 100 < len(frames) < 5000
    assert [int.from_bytes(frame.data, "big") for frame in frames] == list(range(len(frames)))
    assert "log-damaged" in [finding.code for finding in log.findings]


def test_gzip_of_nothing_but_a_header_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(LogNotFound, match="damaged"):
        open_log(written(tmp_path, b"\x1f\x8bnonsense and more of it"))


def test_a_very_long_line_is_one_line(tmp_path: Path) -> None:
    """Its end looks like a frame and is none."""
    log = open_log(written(tmp_path, b"x" * 300_000 + b"\n" + b" " * 70_000 + b"(1.0) can0 123#11\n" + TEXT.encode()))
    assert [frame.can_id for frame in log] == IDS
    assert log.lines == 4


@pytest.mark.parametrize("mode", ["rb", "r"])
def test_frames_of_a_pipe_come_at_once(mode: str) -> None:
    """`candump can0 | opendiag ..` shows a frame when it is there, not when the bus falls silent."""
    reading, writing = os.pipe()
    came: list[int] = []
    first, second = threading.Event(), threading.Event()
    with os.fdopen(reading, mode) as stream:

        def consume() -> None:
            for frame in open_log(stream):
                came.append(frame.can_id)
                (second if first.is_set() else first).set()

        reader = threading.Thread(target=consume, daemon=True)
        reader.start()
        os.write(writing, b"  can0  665   [1]  40\n")
        assert first.wait(5), "the first frame waits for more"
        os.write(writing, b"  can0  5E5   [1]  60\n")
        assert second.wait(5), "the second frame waits for more"
        os.close(writing)
        reader.join(5)
    assert came == IDS


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are a thing of Unix")
def test_frames_of_a_named_pipe_come_at_once(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    came, first = [], threading.Event()

    def consume() -> None:
        for frame in open_log(path):
            came.append(frame.can_id)
            first.set()

    reader = threading.Thread(target=consume, daemon=True)
    reader.start()
    with path.open("wb", buffering=0) as pipe:
        pipe.write(b"  can0  665   [1]  40\n")
        assert first.wait(5), "the first frame waits for more"
        pipe.write(b"  can0  5E5   [1]  60\n")
    reader.join(5)
    assert came == IDS


def test_a_stream_is_not_read_before_it_is_asked_for() -> None:
    stream = io.BytesIO(TEXT.encode())
    open_log(stream)
    assert stream.tell() == 0
