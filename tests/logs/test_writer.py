"""What is written is read back as it was, and nothing is lost or overwritten in silence."""

from __future__ import annotations

import gzip
import re
import sys
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import can
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from opendiag.errors import LogError, MissingDependency
from opendiag.frame import FD_LENGTHS, Frame
from opendiag.logs import format_log_line, open_log
from opendiag.logs.writer import FORMATS, open_writer

NS = 10**9
CHANNEL = st.from_regex(r"(?!cansend)[A-Za-z][0-9A-Za-z_.:-]{0,8}", fullmatch=True)
SENT = [
    Frame(0x665, bytes.fromhex("4078600000000000"), channel="can0", direction="tx", time_ns=1_700_000_000 * NS),
    Frame(0x5E5, b"\x4b\x78\x60\x00\xdb\x00\x00\x00", channel="can0", direction="rx", time_ns=1_700_000_001 * NS),
]


@st.composite
def frames(draw: st.DrawFn, channels: st.SearchStrategy[str] = CHANNEL) -> Frame:
    kind = draw(st.sampled_from(["classic", "remote", "fd", "error"]))
    extended = kind != "error" and draw(st.booleans())
    can_id = draw(st.integers(0, 0x1FFF_FFFF if extended or kind == "error" else 0x7FF))
    common = {
        "channel": draw(channels),
        "direction": draw(st.sampled_from([None, "rx", "tx"])),
        "time_ns": draw(st.integers(0, 10**12 * NS - 1)),
    }
    if kind == "remote":
        return Frame(can_id, extended=extended, remote=True, dlc=draw(st.integers(0, 15)), **common)
    if kind == "fd":
        size = draw(st.sampled_from(FD_LENGTHS))
        data = draw(st.binary(min_size=size, max_size=size))
        return Frame(can_id, data, extended, fd=True, brs=draw(st.booleans()), esi=draw(st.booleans()), **common)
    data = draw(st.binary(max_size=8))
    dlc = draw(st.integers(8, 15)) if len(data) == 8 else -1
    return Frame(can_id, data, extended, error=kind == "error", dlc=dlc, **common)


def write(path: Path, sent: list[Frame], **how: bool) -> None:
    with open_writer(path, **how) as log:
        for frame in sent:
            log.write(frame)
        assert (log.frames, log.dropped) == (len(sent), 0)


@given(st.lists(frames(), min_size=1, max_size=8), st.sampled_from([".log", ".log.gz", ".gz", ".LOG"]))
@example([replace(SENT[0], channel="RX")], ".log")
@example([replace(SENT[0], channel="x", error=True, time_ns=5)], ".log")
def test_everything_is_read_back(sent: list[Frame], suffix: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, f"field{suffix}")
        write(path, sent)
        log = open_log(path)
        assert list(log) == sent
        assert log.unread == 0
        assert log.findings == []


@given(st.lists(frames(st.text(max_size=6)), min_size=1, max_size=8))
@example([replace(SENT[0], channel=name) for name in ("0", "can0", "can0_2", "/dev/ttyUSB0", "cansend", "", "\u00e9")])
def test_any_channel_name_stays_one_channel(sent: list[Frame]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "field.log")
        write(path, sent)
        read = list(open_log(path))
    assert [replace(frame, channel=None) for frame in read] == [replace(frame, channel=None) for frame in sent]
    pairs = {(before.channel, after.channel) for before, after in zip(sent, read, strict=True)}
    assert len({before for before, _ in pairs}) == len({after for _, after in pairs}) == len(pairs)


def test_channels_of_adapters(tmp_path: Path) -> None:
    names = ["0", "can0", "/dev/ttyUSB0", "sim:stepim", "COM5"]
    write(tmp_path / "a.log", [replace(SENT[0], channel=name) for name in names])
    assert [frame.channel for frame in open_log(tmp_path / "a.log")] == [
        "can0",
        "can0_2",
        "dev_ttyUSB0",
        "sim:stepim",
        "COM5",
    ]


def test_a_frame_without_time_and_channel(tmp_path: Path) -> None:
    write(tmp_path / "a.log", [Frame(0x80)])
    assert list(open_log(tmp_path / "a.log")) == [Frame(0x80, channel="can0", time_ns=0)]


def test_lines_are_those_of_candump(tmp_path: Path) -> None:
    write(tmp_path / "a.log", SENT)
    assert (tmp_path / "a.log").read_bytes() == "".join(f"{format_log_line(f)}\n" for f in SENT).encode()
    write(tmp_path / "a.log.gz", SENT)
    assert gzip.decompress((tmp_path / "a.log.gz").read_bytes()) == (tmp_path / "a.log").read_bytes()


def test_flush_lets_others_read(tmp_path: Path) -> None:
    with open_writer(tmp_path / "a.log") as log:
        log.write(SENT[0])
        assert (tmp_path / "a.log").read_bytes() == b""
        log.flush()
        assert list(open_log(tmp_path / "a.log")) == SENT[:1]


def test_after_close(tmp_path: Path) -> None:
    log = open_writer(tmp_path / "a.log")
    log.write(SENT[0])
    log.close()
    log.close()
    with pytest.raises(ValueError, match=r"a\.log is closed"):
        log.write(SENT[1])
    assert list(open_log(tmp_path / "a.log")) == SENT[:1]


# -- python-can's formats -----------------------------------------------------------------------------------------

CAN_FORMATS = [".asc", ".blf", ".csv", ".db", ".trc"]


@pytest.mark.parametrize("suffix", [*CAN_FORMATS, ".BLF"])
def test_python_can_reads_what_it_wrote(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"field{suffix}"
    with open_writer(path) as log:
        for frame in SENT:
            log.write(frame)
        log.flush()
        assert (log.frames, log.dropped, log.format) == (2, 0, FORMATS[suffix.lower()])
    read = list(can.LogReader(path))
    assert [(m.arbitration_id, bytes(m.data)) for m in read] == [(f.can_id, f.data) for f in SENT]
    assert read[1].timestamp - read[0].timestamp == pytest.approx(1)
    if suffix not in (".csv", ".db"):
        assert [m.is_rx for m in read] == [False, True]
        assert {m.channel for m in read} <= {0, 1}


@pytest.mark.parametrize("suffix", CAN_FORMATS)
def test_special_frames(suffix: str, tmp_path: Path) -> None:
    special = [
        Frame(0x1234567, b"\1\2", extended=True),
        Frame(0x665, remote=True, dlc=8),
        Frame(0x80, bytes(8), error=True),
        Frame(0x123, bytes(12), fd=True, brs=True),
    ]
    path = tmp_path / f"field{suffix}"
    with open_writer(path) as log:
        for number, frame in enumerate(special):
            log.write(replace(frame, channel="can3", time_ns=(1_700_000_000 + number) * NS))
        counted = log.frames, log.dropped
    read = list(can.LogReader(path))
    assert counted == ((1, 3) if suffix == ".trc" else (4, 0)), "what the format cannot hold is counted"
    assert len(read) == counted[0]
    assert read[0].is_extended_id
    if suffix != ".trc":
        assert read[1].is_remote_frame
        assert read[2].is_error_frame
        assert bytes(read[3].data) == bytes(12)


def test_mf4_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("can.io.mf4.asammdf", None)
    with pytest.raises(MissingDependency, match=r"writing \.mf4 needs asammdf"):
        open_writer(tmp_path / "a.mf4")
    assert list(tmp_path.iterdir()) == []


# -- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("field.txt", "no capture is written as '.txt'"),
        ("field", "the name has no suffix that says the format"),
        ("field.asc.gz", "no capture is written as '.asc.gz'"),
        (".log", "the name has no suffix"),
    ],
)
def test_an_unknown_suffix(name: str, seen: str, tmp_path: Path) -> None:
    with pytest.raises(LogError, match=re.escape(seen)) as caught:
        open_writer(tmp_path / name)
    assert str(caught.value).endswith("; it takes .log, .log.gz, .asc, .blf, .csv, .db, .trc, .mf4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".log", ".log.gz", *CAN_FORMATS])
def test_nothing_is_overwritten_unasked(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"field{suffix}"
    write(path, SENT)
    before = path.read_bytes()
    with pytest.raises(LogError, match="is there already and was left as it is"):
        open_writer(path)
    assert path.read_bytes() == before
    write(path, SENT[:1], overwrite=True)
    read = list(open_log(path)) if "log" in suffix else list(can.LogReader(path))
    assert len(read) == 1, "the old content is gone"


@pytest.mark.parametrize("suffix", [".log", ".log.gz", ".asc", ".blf", ".db"])
def test_what_cannot_be_written(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"cannot write .*: no such file or directory"):
        open_writer(tmp_path / "no" / f"field{suffix}")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
@pytest.mark.parametrize("suffix", [".log", ".log.gz", ".csv"])
def test_a_full_disk(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"field{suffix}"
    path.symlink_to("/dev/full")
    log = open_writer(path, overwrite=True)
    with pytest.raises(LogError, match=r"cannot write .*: no space left on device"):
        for _ in range(100_000):
            log.write(SENT[0])
        log.close()
    with suppress(LogError):
        log.close()


def test_candump_logs_do_not_load_python_can() -> None:
    import subprocess

    program = "import sys; from opendiag.logs.writer import open_writer; sys.exit('can' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=30, check=False).returncode == 0
