"""Which kind of time a capture has, and the running time made of it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from opendiag.logs import LogReader, open_log

S = 10**9


def capture(*stamps: str) -> str:
    return "".join(f" ({stamp})  can0  665   [1]  40\n" for stamp in stamps)


def times(log: LogReader) -> list[int | None]:
    return [frame.time_ns for frame in log]


@pytest.fixture
def file(tmp_path: Path):
    def write(*stamps: str) -> Path:
        path = tmp_path / "capture.txt"
        path.write_text(capture(*stamps))
        return path

    return write


def test_absolute(file) -> None:
    log = open_log(file("1436509052.249713", "1436509052.449713"))
    assert times(log) == [1_436_509_052_249_713_000, 1_436_509_052_449_713_000]
    assert (log.time_kind, log.findings) == ("absolute", [])


def test_absolute_times_that_step_back_are_kept(file) -> None:
    """Somebody set the clock. Times since the epoch are never differences."""
    log = open_log(file("1436509052.2", "1436509050.1", "1436509051.3", "1436509050.4"))
    assert times(log)[:2] == [1_436_509_052_200_000_000, 1_436_509_050_100_000_000]
    assert (log.time_kind, log.findings) == ("absolute", [])


def test_local_time_is_kept_as_it_stands(file) -> None:
    log = open_log(file("1970-01-02 00:00:01.5", "2015-07-10 06:17:32.249713"))
    assert times(log) == [86401 * S + S // 2, 1_436_509_052_249_713_000]
    assert log.time_kind == "local"


def test_zero_based(file) -> None:
    log = open_log(file("000.000000", "000.100000", "999.200000", "1000.300000"))
    assert times(log) == [0, S // 10, 999 * S + S // 5, 1000 * S + 3 * S // 10]
    assert (log.time_kind, log.findings) == ("zero", [])


def test_differences_are_recognised_by_their_decrease(file) -> None:
    log = open_log(file("000.000000", "001.000000", "000.500000", "000.250000"))
    assert times(log) == [0, S, 3 * S // 2, 7 * S // 4]
    assert (log.time_kind, log.findings) == ("delta", [])


@pytest.mark.parametrize(
    ("letter", "kind", "last"), [("d", "delta", 6 * S), ("z", "zero", 3 * S), ("a", "absolute", 3 * S)]
)
def test_the_user_knows_better(file, letter: str, kind: str, last: int) -> None:
    log = open_log(file("001.000000", "002.000000", "003.000000"), time=letter)
    assert times(log)[-1] == last
    assert (log.time_kind, log.findings) == (kind, [])


def test_forced_since_the_start_although_it_decreases(file) -> None:
    log = open_log(file("003.0", "002.0", "001.0"), time="z")
    assert times(log) == [3 * S, 2 * S, S]
    assert (log.time_kind, log.findings) == ("zero", [])


def test_another_letter_is_an_error(file) -> None:
    with pytest.raises(ValueError, match="'x'"):
        open_log(file("1.0"), time="x")


def test_a_stream_cannot_be_looked_at_in_advance() -> None:
    log = open_log(io.StringIO(capture("000.000000", "001.000000", "000.500000", "000.250000")))
    assert times(log) == [0, S, S // 2, S // 4]
    assert log.time_kind == "zero"
    (finding,) = log.findings
    assert (finding.code, finding.line) == ("log-time-ambiguous", 3)
    assert "--time d" in finding.sentence
    assert finding.assumed == "taken as time since the start"


def test_a_stream_with_the_letter_is_not_ambiguous() -> None:
    log = open_log(io.StringIO(capture("000.000000", "001.000000", "000.500000")), time="d")
    assert times(log) == [0, S, 3 * S // 2]
    assert (log.time_kind, log.findings) == ("delta", [])


def test_two_captures_behind_each_other_are_not_differences(file) -> None:
    """The second one starts at zero again."""
    log = open_log(file("000.000000", "001.0", "002.0", "000.000000", "001.0", "002.0"))
    assert times(log) == [0, S, 2 * S, 0, S, 2 * S]
    assert (log.time_kind, log.findings) == ("zero", [])


@pytest.mark.parametrize(
    ("digits", "ns"), [("5", S // 2), ("000001", 1000), ("123456789", 123_456_789), ("000000001", 1), ("25", S // 4)]
)
def test_digits_of_a_fraction(file, digits: str, ns: int) -> None:
    assert times(open_log(file(f"1436509052.{digits}"))) == [1_436_509_052 * S + ns]


def test_no_time(tmp_path: Path) -> None:
    path = tmp_path / "capture.txt"
    path.write_text("can0 665 [1] 40\n")
    log = open_log(path)
    assert times(log) == [None]
    assert log.time_kind == "none"


@pytest.mark.parametrize("stamp", ["2015-13-45 06:17:32.2", "1-2", "12:30", ".", "1.2.3", "99999999999999999999.0"])
def test_what_is_no_time_does_not_cost_the_frame(file, stamp: str) -> None:
    log = open_log(file(stamp))
    assert times(log) == [None]
    assert log.time_kind == "none"


def test_times_of_logs_and_of_the_console_are_the_same_times() -> None:
    text = capture("1436509052.249713") + "(1436509052.249714) can0 665#40\n"
    assert times(open_log(io.StringIO(text))) == [1_436_509_052_249_713_000, 1_436_509_052_249_714_000]
