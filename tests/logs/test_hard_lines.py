"""Lines that other readers refuse, drop or read wrongly; what is around the frames of a capture."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from opendiag.errors import NotALine, NotALog
from opendiag.frame import Frame
from opendiag.logs import LogReader, open_log, parse_line


def read(*lines: str) -> tuple[list[Frame], LogReader]:
    log = open_log(io.StringIO("\n".join(lines)))
    return list(log), log


def only(line: str) -> Frame:
    (frame,), log = read(line)
    assert log.findings == []
    return frame


def codes(log: LogReader) -> list[tuple[str, int | None]]:
    return [(finding.code, finding.line) for finding in log.findings]


def test_colours_are_no_part_of_the_channel() -> None:
    frame = only(" (1436509052.249713)  \x1b[1m\x1b[34mcan0\x1b[0m  665   [2]  40 78")
    assert frame == Frame(0x665, b"\x40\x78", channel="can0", time_ns=1_436_509_052_249_713_000)


@pytest.mark.parametrize(
    ("flags", "brs", "esi"), [("- -", False, False), ("B -", True, False), ("- E", False, True), ("B E", True, True)]
)
def test_direction_and_fd_flags_of_x(flags: str, brs: bool, esi: bool) -> None:
    frame = only(f"  can0  TX {flags}  123  [02]  11 22")
    assert frame == Frame(0x123, b"\x11\x22", fd=True, brs=brs, esi=esi, channel="can0", direction="tx")
    assert only(f"  can0  RX {flags}  123  [02]  11 22").direction == "rx"


def test_swapped_bytes_of_S() -> None:
    assert only("  can0  123   [4]  44`33`22`11").data == b"\x11\x22\x33\x44"


def test_swapped_single_byte_and_no_byte() -> None:
    assert only("  can0  123   [1]  11                        `.`").data == b"\x11"
    assert only("  can0  123   [0]                            ``").data == b""


def test_binary_digits_of_i_are_not_hexadecimal() -> None:
    assert only("  can0  123   [2]  00010001 11110000").data == b"\x11\xf0"


def test_bytes_of_zeros_and_ones_are_hexadecimal() -> None:
    assert only("  can0  123   [4]  11 00 01 10").data == b"\x11\x00\x01\x10"


def test_an_ascii_column_with_quotes_and_backticks() -> None:
    assert only("  can0  123   [3]  27 60 27                  ''`''").data == b"'`'"


def test_an_ascii_column_that_looks_like_bytes() -> None:
    assert only("  can0  123   [5]  31 31 20 32 32            '11 22'").data == b"11 22"


def test_raw_dlc_of_8() -> None:
    frame = only("  can0  123   {B}  00 01 02 03 04 05 06 07")
    assert (frame.dlc, len(frame.data)) == (11, 8)


def test_raw_dlc_of_a_remote_frame() -> None:
    assert only("  can0  123   {B}  remote request").dlc == 11


def test_length_of_a_remote_frame() -> None:
    assert only("  can0  123   [3]  remote request") == Frame(0x123, remote=True, dlc=3, channel="can0")
    assert only("(1.000000) can0 123#R3").dlc == 3
    assert only("(1.000000) can0 123#R").dlc == 0


def test_raw_dlc_in_a_log() -> None:
    assert only("(1.000000) can0 123#R8_9").dlc == 9
    assert only("(1.000000) can0 123#0001020304050607_E").dlc == 14


@pytest.mark.parametrize(("nibble", "brs", "esi"), [("0", 0, 0), ("5", 1, 0), ("6", 0, 1), ("7", 1, 1), ("A", 0, 1)])
def test_fd_flags_in_a_log(nibble: str, brs: int, esi: int) -> None:
    frame = only(f"(1.000000) can0 123##{nibble}1122")
    assert (frame.fd, frame.brs, frame.esi, frame.data) == (True, bool(brs), bool(esi), b"\x11\x22")


def test_an_error_frame_is_not_an_extended_data_frame() -> None:
    for line in ("(1.0) can0 20000004#0020000000008000", "can0  20000004   [8]  00 20 00 00 00 00 80 00   ERRORFRAME"):
        frame = only(line)
        assert (frame.error, frame.extended, frame.can_id) == (True, False, 4)


def test_direction_in_a_log() -> None:
    assert only("(1.0) can0 123#11 T").direction == "tx"
    assert only("(1.0) can0 123#11 R").direction == "rx"


def test_dotted_bytes() -> None:
    assert only("(1.0) can0 123#11.22.33").data == b"\x11\x22\x33"
    assert only("(1.0) can0 123##1.11.22".replace("##1.", "##1")).data == b"\x11\x22"


@pytest.mark.parametrize(
    "line",
    [
        "(1.000000) can0 00123#81:00:12345678#112233",
        "(1.000000) can0 45123#81:00:12345678#112233 R",
        "  can0  RX S R  123  [0012] (00|81:00:12345678) 11 22 33 44 55 66 77 88 99 AA BB CC",
        "  can0  123  [2048] (00|80:00:00000000) 11 22 33 ...",
    ],
)
def test_can_xl_is_counted_and_not_fatal(line: str) -> None:
    frames, log = read("can0 123 [1] 11", line, "can0 124 [1] 22")
    assert [frame.can_id for frame in frames] == [0x123, 0x124]
    assert (codes(log), log.unread) == ([("log-can-xl", 2)], 1)


def test_a_drop_count_inside_the_file() -> None:
    drops = "DROPCOUNT: dropped 2 CAN frames on 'can0' socket (total drops 9)"
    frames, log = read("(1.0) can0 123#11", drops, "(2.0) can0 123#22", drops)
    assert len(frames) == 2
    assert (codes(log), log.unread) == ([("log-drop-count", 2)], 0)
    assert "4 frames" in log.findings[0].sentence


def test_details_below_an_error_frame_are_no_oddity() -> None:
    error = "  can0  20000004   [8]  00 20 00 00 00 00 80 00   ERRORFRAME"
    frames, log = read(error, "\tcontroller-problem{tx-error-passive}", "\terror-counter-tx-rx{{128}{0}}", "\tbus-off")
    assert (len(frames), log.findings, log.unread) == (1, [], 0)


def test_details_elsewhere_are_an_oddity() -> None:
    frames, log = read("  can0  123   [1]  11", "\tbus-off")
    assert (len(frames), codes(log), log.unread) == (1, [("log-unreadable-line", 2)], 1)


@pytest.mark.parametrize(
    "cut",
    [
        "  can0  665   [8]  40 78 60 0",
        "  can0  665   [8]  40 78 60",
        "  can0  665   [8",
        "(1.000000) can0 665#407",
        "(1.00000",
        "  can0  665   [2]  remote req",
    ],
)
def test_a_cut_last_line_is_no_frame(cut: str) -> None:
    frames, log = read("can0 123 [1] 11", cut)
    assert (len(frames), log.unread) == (1, 1)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("can0  665   [3]  40 78", "log-length-mismatch"),
        ("can0  665   [1]  40 78", "log-length-mismatch"),
        ("can0  665   [2]  40 7G", "log-length-mismatch"),
        ("can0  665   [2]  40`78`60", "log-length-mismatch"),
        ("can0  665   [1]  40 and more", "log-length-mismatch"),
        ("can0  665   [2]  4078", "log-length-mismatch"),
        ("can0  665   [2] 407860", "log-length-mismatch"),
        ("can0  665   [9]  00 00 00 00 00 00 00 00 00", "log-length-mismatch"),
        ("can0  665  [09]  00 00 00 00 00 00 00 00 00", "log-not-a-frame"),
        ("can0  FFF   [1]  40", "log-not-a-frame"),
        ("(1.0) can0 FFF#40", "log-not-a-frame"),
        ("(1.0) can0 123#001122334455667788", "log-not-a-frame"),
        ("(1.0) can0 123#0", "log-not-a-frame"),
        ("(1.0) can0 123##0112", "log-not-a-frame"),
        ("(1.0) can0 123#11_9", "log-not-a-frame"),
        ("(1.0) can0 123##1001122334455667788", "log-not-a-frame"),
        ("Found 3 nodes on can0, 665 [x]", "log-unreadable-line"),
    ],
)
def test_what_is_no_frame_and_why(line: str, code: str) -> None:
    frames, log = read("can0 123 [1] 11", line)
    assert (len(frames), codes(log)) == (1, [(code, 2)])
    assert log.findings[0].evidence == line
    assert log.findings[0].assumed == "skipped"


@pytest.mark.parametrize("mark", ["> ", ">> ", "> > ", "| ", "    ", "\t"])
def test_quoted_and_indented(mark: str) -> None:
    assert only(f"{mark}can0  665   [2]  40 78").data == b"\x40\x78"
    assert only(f"{mark}(1.5) can0 665#4078").data == b"\x40\x78"


@pytest.mark.parametrize("tail", [" # boot", " ; boot", " // boot", " \\", " <-- this one", " |"])
def test_remarks_behind_a_frame(tail: str) -> None:
    assert only(f"can0  665   [2]  40 78{tail}").data == b"\x40\x78"
    assert only(f"(1.5) can0 665#4078{tail}").data == b"\x40\x78"


def test_a_paste_of_a_terminal() -> None:
    frames, log = read(
        "Hi, I plugged it in on 12/03 and this is what I get, see 665 below:",
        "```",
        "pi@raspberrypi:~ $ candump can0",
        "  can0  77F   [1]  00",
        "> can0  665   [8]  40 41 60 00 00 00 00 00",
        "^C",
        "$ cansend can0 665#4041600000000000",
        "```",
        "The [8] means 8 bytes, 40 is a read. Add 0x600 to 65, that is 665 [hex].",
    )
    assert [frame.can_id for frame in frames] == [0x77F, 0x665]
    (finding,) = log.findings
    assert (finding.code, finding.line, log.unread) == ("log-unreadable-line", 1, 7)
    assert "7 lines (1, 2, 3, 6, 7, 8, 9)" in finding.sentence
    assert finding.evidence.startswith("Hi, I plugged it in")


@pytest.mark.parametrize(
    "prose",
    [
        "the CAN-ID is 665 [8] bytes long",
        "add [2] 11 22",
        "bad  [3]  food",
        "I saw 123 [2] of them",
        "can0  665  8  40 41 60 00 00 00 00 00",
        "2024-01-01 [8] 11 22 33 44 55 66 77 88",
        "bug #123#456 is fixed",
        "see 123#",
        "deadbeef [0] maybe",
        "http://example.com/123#abcd",
        "total 665",
    ],
)
def test_prose_is_no_frame(prose: str) -> None:
    with pytest.raises(NotALog) as failed:
        read(prose)
    assert failed.value.lines == 1


def test_old_form() -> None:
    assert only("<0x19fa0300> [8] 9a d3 00 11 22 33 44 ff") == Frame(
        0x19FA0300, bytes.fromhex("9ad30011223344ff"), extended=True
    )
    assert only("<0x123> [1] 9a") == Frame(0x123, b"\x9a")


def test_windows_line_ends() -> None:
    frames, log = read("can0  665   [1]  40\r", "(1.0) can0 665#41\r", "can0  665   [1]  remote request\r", "\r")
    assert ([frame.data for frame in frames], log.findings) == ([b"\x40", b"\x41", b""], [])


def test_empty_lines_are_no_oddity() -> None:
    frames, log = read("", "can0 665 [1] 40", "   ", "")
    assert (len(frames), log.unread, log.findings) == (1, 0, [])


def test_both_formats_in_one_file() -> None:
    frames, log = read("can0 665 [1] 40", "(1.0) can1 665#41", "can0 665 [1] 42")
    assert [frame.data[0] for frame in frames] == [0x40, 0x41, 0x42]
    assert log.format == "candump console and candump log"
    assert log.channels == ["can0", "can1"]


def test_findings_of_one_kind_are_one_with_a_count_and_a_bound() -> None:
    _, log = read("can0 665 [1] 40", *["nonsense"] * 30, "can0 665 [2] 40")
    assert codes(log) == [("log-unreadable-line", 2), ("log-length-mismatch", 32)]
    sentence = log.findings[0].sentence
    assert sentence.startswith("no CAN frame in 30 lines (2, 3, 4,")
    assert sentence.endswith("21, ..)")
    assert log.findings[1].sentence == "the number of bytes does not fit in line 32"
    assert log.unread == 31


def test_evidence_is_fit_for_a_terminal() -> None:
    _, log = read("can0 665 [1] 40", "\x1b]0;title\x07 beep \x00" + "x" * 200)
    evidence = log.findings[0].evidence
    assert evidence.isprintable()
    assert len(evidence) <= 60


@pytest.mark.parametrize(
    "text",
    [
        "665#4041600000000000",
        "can0  665   [8]  40 41 60 00 00 00 00 00",
        "665   [8]  40 41 60 00 00 00 00 00",
        "665 40 41 60 00 00 00 00 00",
        "0x665 0x40 0x41 0x60 0x00 0x00 0x00 0x00 0x00",
        "665 40,41,60,00,00,00,00,00",
        "665#40.41.60.00.00.00.00.00",
        "cansend can0 665#4041600000000000",
        "  can0  TX - -  665   [8]  40 41 60 00 00 00 00 00",
        "  can0  665   [8]  00`00`00`00`00`60`41`40",
        "\x1b[1m\x1b[34mcan0\x1b[0m  665   [8]  40 41 60 00 00 00 00 00",
        "  665   [8]  01000000 01000001 01100000 00000000 00000000 00000000 00000000 00000000",
        "665   [8]  40 41 60 00 00 00 00 00   '@A`.....'",
    ],
)
def test_parse_line_takes_every_notation(text: str) -> None:
    frame = parse_line(text)
    assert (frame.can_id, frame.extended, frame.data) == (0x665, False, bytes.fromhex("4041600000000000"))


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ("0#81.00", Frame(0, b"\x81\x00")),
        ("cansend drive 123#11", Frame(0x123, b"\x11", channel="drive")),
        ("(1.5) drive 123#11", Frame(0x123, b"\x11", channel="drive", time_ns=1_500_000_000)),
        ("80", Frame(0x80)),
        ("00000665 40", Frame(0x665, b"\x40", extended=True)),
        ("123#R", Frame(0x123, remote=True)),
        ("123##1aabb", Frame(0x123, b"\xaa\xbb", fd=True, brs=True)),
        ("(12.5) can7 123#11 R", Frame(0x123, b"\x11", channel="can7", direction="rx", time_ns=12_500_000_000)),
    ],
)
def test_parse_line_details(text: str, frame: Frame) -> None:
    assert parse_line(text) == frame


@pytest.mark.parametrize(
    "text", ["", "hello", "665 4", "665 40 41 60 00 00 00 00 00 11", "FFF#00", "665 [3] 40", "1234#00"]
)
def test_parse_line_says_what_it_saw(text: str) -> None:
    with pytest.raises(NotALine) as failed:
        parse_line(text)
    assert failed.value.text == text
    assert str(failed.value).startswith(f"{text!r} is no frame: ")
    assert len(failed.value.reason) > 20


def test_a_line_of_nothing_but_quotation_marks_does_not_hang():
    """A hundred thousand of them took minutes when every step looked at all the others."""
    code = "from opendiag.logs import parse_line; parse_line('>' * 100_000 + ' x')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "is no frame" in done.stderr


@pytest.mark.parametrize("filler", [">", "|", " ", "> "])
def test_long_quotation_in_front_of_a_frame(filler):
    assert parse_line(filler * 3000 + "can0  665   [2]  40 41").can_id == 0x665
