"""A whole capture: what comes out, what is counted, what is told about the rest."""

import io
import os
import tracemalloc

import pytest

from opendiag.errors import LogNotFound, NotALog
from opendiag.findings import Severity
from opendiag.frame import Frame
from opendiag.logs import open_log

STEPIM = """\
     can0  4E5   [4]  F0 16 00 00
     can0  665   [8]  40 78 60 00 00 00 00 00
     can0  5E5   [8]  4B 78 60 00 DB 00 00 00
"""


def opened(text, **options):
    return open_log(io.BytesIO(text.encode()), **options)


def finding(log, code):
    (found,) = [finding for finding in log.findings if finding.code == code]
    return found


def test_a_capture_of_a_stepim():
    log = opened(STEPIM)
    assert list(log) == [
        Frame(0x4E5, bytes.fromhex("F0160000"), channel="can0"),
        Frame(0x665, bytes.fromhex("4078600000000000"), channel="can0"),
        Frame(0x5E5, bytes.fromhex("4B786000DB000000"), channel="can0"),
    ]
    assert (log.format, log.time_kind, log.channels) == ("candump console", "none", ["can0"])
    assert (log.frames, log.lines, log.unread, log.findings) == (3, 3, 0, [])


def test_prose_around_it_is_counted_and_named():
    text = f"Hello, my drive does not move:\n\n$ candump can0\n{STEPIM}\nI added 3 [2] AB CD. Any ideas?\n"
    log = opened(text)
    assert len(list(log)) == 3
    assert log.unread == 3
    told = finding(log, "log-unreadable-line")
    assert (told.line, told.severity) == (1, Severity.INFO)
    assert "3 lines (1, 3, 8)" in told.sentence


@pytest.mark.parametrize(
    "prose",
    [
        "I added 3 [2] AB CD",
        "see 123 for 2 bytes AB CD",
        "object 6041 [0] and 6040 [1] 0F",
        "# 665",
        "I saw [8] 40 78 60 00 00 00 00 00 on the bus",
        "12 added 123 [2] AB CD",
    ],
)
def test_prose_is_no_frame(prose):
    log = opened(prose)
    with pytest.raises(NotALog):
        list(log)
    assert log.frames == 0


@pytest.mark.parametrize(
    "line", ["can0 123 [3] AB CD", "can0 123 [1] AB CD", "can0 123 [2] AB C", "can0 123 [2] AB CD please"]
)
def test_a_wrong_number_of_bytes_is_a_finding_and_no_frame(line):
    log = opened(f"{STEPIM}{line}\n")
    assert len(list(log)) == 3
    assert finding(log, "log-length-mismatch").line == 4
    assert log.unread == 1


@pytest.mark.parametrize(
    "line", ["can0 FFF [0]", "can0 123 [09] 01 02 03 04 05 06 07 08 09", "can0 123 [9] 00", "(1.0) can0 123#0"]
)
def test_what_no_bus_carries_is_a_finding(line):
    log = opened(f"{STEPIM}{line}\n")
    assert len(list(log)) == 3
    assert {found.code for found in log.findings} <= {"log-not-a-frame", "log-length-mismatch"}
    assert (log.unread, len(log.findings)) == (1, 1)


@pytest.mark.parametrize(
    "line", ["can0  123  [0004] (00|01:02:AABBCCDD) 11 22 33 44", "(1.000000) can0 00123#81:02:AABBCCDD#11223344"]
)
def test_can_xl_is_counted_never_fatal(line):
    log = opened(f"{line}\n{STEPIM}")
    assert len(list(log)) == 3
    assert finding(log, "log-can-xl").line == 1


def test_dropped_frames_are_added_up():
    drop = "DROPCOUNT: dropped {} CAN frame{} on 'can0' socket (total drops {})\n"
    log = opened(STEPIM + drop.format(1, "", 1) + STEPIM + drop.format(11, "s", 12))
    assert len(list(log)) == 6
    told = finding(log, "log-drop-count")
    assert "dropped 12 frames" in told.sentence and "(4, 8)" in told.sentence
    assert log.unread == 0


def test_unreadable_lines_are_listed_up_to_a_bound_and_counted_in_full():
    log = opened(STEPIM + "nothing\n" * 1000)
    list(log)
    told = finding(log, "log-unreadable-line")
    assert log.unread == 1000
    assert "1000 lines" in told.sentence and "23, .." in told.sentence and "24" not in told.sentence


def test_formats_may_change_from_line_to_line():
    log = opened("can0 123 [1] 01\n(1.000000) can1 124#02\n125#03\n126 [1] 04\n<0x7f> [1] 05\n")
    assert [(frame.can_id, frame.data[0], frame.channel) for frame in log] == [
        (0x123, 1, "can0"),
        (0x124, 2, "can1"),
        (0x125, 3, None),
        (0x126, 4, None),
        (0x07F, 5, None),
    ]
    assert log.format == "candump console and candump log"
    assert log.channels == ["can0", "can1"]


def test_channels_come_in_the_order_of_their_first_frame():
    log = opened("can2 123 [0]\ncan0 123 [0]\ncan2 123 [0]\ncan1 123 [0]\n")
    list(log)
    assert log.channels == ["can2", "can0", "can1"]


def test_the_text_below_error_frames_is_neither_frame_nor_unread():
    log = opened("can0  20000020   [8]  00 00 00 00 00 00 00 00   ERRORFRAME\n\tno-acknowledgement-on-tx\n")
    (frame,) = log
    assert frame == Frame(0x20, bytes(8), error=True, channel="can0")
    assert (log.unread, log.findings) == (0, [])


def test_such_text_below_nothing_is_unread():
    log = opened(f"{STEPIM}\tbus-off\n")
    list(log)
    assert log.unread == 1


def test_times_that_decrease_in_a_stream_are_told():
    log = opened("".join(f"(000.{ms:03d}000) can0 123 [0]\n" for ms in (0, 5, 2)))
    assert [frame.time_ns for frame in log] == [0, 5_000_000, 2_000_000]
    assert log.time_kind == "zero"
    assert finding(log, "log-time-ambiguous").line == 3


@pytest.mark.parametrize(
    ("letter", "kind", "last_ns"), [("d", "delta", 7_000_000), ("z", "zero", 2_000_000), ("a", "absolute", 2_000_000)]
)
def test_the_user_knows_the_kind_of_time(letter, kind, last_ns):
    log = opened("".join(f"(000.{ms:03d}000) can0 123 [0]\n" for ms in (0, 5, 2)), time=letter)
    assert list(log)[-1].time_ns == last_ns
    assert (log.time_kind, log.findings) == (kind, [])


def test_a_file_is_looked_at_before(tmp_path):
    path = tmp_path / "delta.txt"
    path.write_text("".join(f"(000.{ms:03d}000) can0 123 [0]\n" for ms in (0, 5, 2, 4)))
    log = open_log(path)
    assert [frame.time_ns for frame in log] == [0, 5_000_000, 7_000_000, 11_000_000]
    assert (log.time_kind, log.findings) == ("delta", [])


def test_an_unknown_letter_is_refused():
    with pytest.raises(ValueError, match="'x'"):
        opened(STEPIM, time="x")


def test_frames_of_a_live_pipe_come_at_once():
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream:
        frames = iter(open_log(stream))
        for place in range(4):
            os.write(writing, b"  can0  123   [1]  0%d\n" % place)
            assert next(frames).data == bytes([place])
        os.close(writing)
        assert list(frames) == []


def test_progress(tmp_path):
    path = tmp_path / "capture.log"
    path.write_text("(1.000000) can0 123#00\n" * 10_000)
    log = open_log(path)
    assert log.bytes_total == path.stat().st_size
    frames = iter(log)
    next(frames)
    assert 0 < log.bytes_read < log.bytes_total
    assert sum(1 for _ in frames) == 9_999
    assert log.bytes_read == log.bytes_total


def test_a_line_without_end_takes_no_memory_and_hides_no_frame(tmp_path):
    path = tmp_path / "capture.txt"
    path.write_bytes(b"can0 123 [0]\n" + b"x" * 20_000_000 + b" can0 7FF [1] 00\ncan0 124 [0]\n")
    tracemalloc.start()
    log = open_log(path)
    found = [frame.can_id for frame in log]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == [0x123, 0x124]
    assert (log.lines, log.unread) == (3, 1)
    assert peak < 2_000_000


def test_a_stream_has_no_known_size():
    log = opened(STEPIM)
    list(log)
    assert (log.bytes_total, log.bytes_read, log.name) == (None, 0, "standard input")


def test_a_file_left_early_is_closed(tmp_path):
    path = tmp_path / "capture.log"
    path.write_text(STEPIM)
    with open_log(path) as log:
        pass
    with pytest.raises(ValueError, match="closed"):
        list(log)


def test_no_frame_at_all_is_an_error_with_an_example():
    log = opened("\n  Dear \x07 all,\nno frames here\n")
    with pytest.raises(NotALog) as error:
        list(log)
    assert (error.value.lines, error.value.example) == (3, "Dear . all,")


def test_nothing_at_all_is_an_error():
    with pytest.raises(NotALog, match="empty"):
        list(opened(""))


@pytest.mark.parametrize("missing", ["no-such-file.log", "."])
def test_what_cannot_be_opened(tmp_path, missing):
    with pytest.raises(LogNotFound):
        open_log(tmp_path / missing)
