"""candump's filters: what each form lets through, checked against the kernel's own rule and against candump itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.adapters.can_filter import EXTENDED, INVERTED, REMOTE, CanFilter, IdFilter, parse_filters
from opendiag.errors import BadFilter
from opendiag.frame import Frame

STANDARD = Frame(0x123, b"\1")
OTHER = Frame(0x124, b"\1")
REQUEST = Frame(0x123, remote=True)
LONG = Frame(0x123, b"\1", extended=True)
FD = Frame(0x123, bytes(12), fd=True)
LOST = Frame(0x4, bytes(8), error=True)
ALL = (STANDARD, OTHER, REQUEST, LONG, FD, LOST)


@pytest.mark.parametrize(
    ("text", "passing"),
    [
        ("0:0", [STANDARD, OTHER, REQUEST, LONG, FD]),
        ("0:0,#FFFFFFFF", [*ALL]),
        ("#FFFFFFFF", [*ALL]),
        ("#0", [STANDARD, OTHER, REQUEST, LONG, FD]),
        ("#4", [*ALL]),
        ("#8", [STANDARD, OTHER, REQUEST, LONG, FD]),
        ("0~0,#4", [LOST]),
        ("0~0", []),
        ("123:7FF", [STANDARD, REQUEST, LONG, FD]),
        ("123:C00007FF", [STANDARD, FD]),
        ("123:800007FF", [STANDARD, REQUEST, FD]),
        ("123", [STANDARD, REQUEST, FD]),
        ("00000123", [LONG]),
        ("00000123:DFFFFFFF", [LONG]),
        ("00000123:1FFFFFFF", [STANDARD, REQUEST, LONG, FD]),
        ("00000000:80000000", [LONG]),
        ("000:80000000", [STANDARD, OTHER, REQUEST, FD]),
        ("40000000:40000000", [REQUEST]),
        ("123~7FF", [OTHER]),
        ("123~C00007FF", [OTHER, REQUEST, LONG]),
        ("20000123:7FF", [OTHER]),  # the kernel's flag for inverted filters
        ("123:7FF,124:7FF", [STANDARD, OTHER, REQUEST, LONG, FD]),
        ("123~7FF,124~7FF", [STANDARD, OTHER, REQUEST, LONG, FD]),
        ("123~7FF,124~7FF,j", []),
        ("120:7F0,123~7FF,J", [OTHER]),
        ("120:7F0,123~7FF,J,#4", [OTHER]),  # an error frame never passes both
        ("123:7FF,j,#4", [STANDARD, REQUEST, LONG, FD, LOST]),
        ("j", [STANDARD, OTHER, REQUEST, LONG, FD]),
        (" 123:7ff , 0x124:0x7FF ", [STANDARD, OTHER, REQUEST, LONG, FD]),
        # A mask with the flag of error frames: candump clears it.
        ("123:200007FF", [STANDARD, REQUEST, LONG, FD]),
        # With the extended flag in the mask only, the mask has no more than 11 bits.
        ("123:9FFFFFFF", [STANDARD, REQUEST, FD]),
    ],
)
def test_what_passes(text: str, passing: list[Frame]) -> None:
    wanted = parse_filters(text)
    assert [frame for frame in ALL if wanted.matches(frame)] == passing


@pytest.mark.parametrize(
    ("text", "filters", "error_mask", "join"),
    [
        ("123:7FF", [(0x123, 0x7FF)], 0, False),
        ("12345678:1FFFFFFF", [(0x9234_5678, 0x1FFF_FFFF)], 0, False),
        ("123~7FF,#FFFFFFFF,j", [(0x2000_0123, 0x7FF)], 0x1FFF_FFFF, True),
        ("00000123~FFFFFFFF", [(0xA000_0123, 0xDFFF_FFFF)], 0, False),
        ("7FF", [(0x7FF, 0x8000_07FF)], 0, False),
        ("#1", [(0, 0)], 1, False),
    ],
)
def test_what_the_kernel_is_told(text: str, filters: list[tuple[int, int]], error_mask: int, join: bool) -> None:
    wanted = parse_filters(text)
    assert (wanted.kernel(), wanted.error_mask, wanted.join) == (filters, error_mask, join)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (" 0x123:7ff,J , #8", "123:7FF,#8,j"),
        ("123", "123:800007FF"),
        ("1fffffff", "1FFFFFFF:9FFFFFFF"),
        ("00000123~7ff", "00000123~7FF"),
        ("20000123:7FF", "00000123~7FF"),
        ("1:0", "001:000"),
        ("j", "j"),
        ("#0", "0:0"),
    ],
)
def test_a_filter_writes_itself(text: str, written: str) -> None:
    assert str(parse_filters(text)) == written


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "part 1 is empty; expected ID:MASK, ID~MASK or #ERRORMASK in hexadecimal"),
        ("123:7FF,,124:7FF", "part 2 is empty"),
        ("123:7FF,", "part 2 is empty"),
        ("123:", "'' after the colon of '123:' is no mask"),
        ("123:xyz", "'xyz' after the colon of '123:xyz' is no mask"),
        ("123~0x", "'0x' after the ~ of '123~0x' is no mask"),
        ("sync:7FF", "'sync' in 'sync:7FF' is no identifier"),
        (":7FF", "':7FF' has no identifier before the :"),
        ("123:7FF:1", "'7FF:1' after the colon of '123:7FF:1' is no mask"),
        ("123456789:7FF", "the identifier of '123456789:7FF' has 9 digits: expected 8 at most"),
        ("123:123456789", "the mask of '123:123456789' has 9 digits"),
        ("#", "'#' is no error mask: expected # and up to 8 hexadecimal digits"),
        ("#zz", "'#zz' is no error mask"),
        ("#1,#2", "two error masks: join their bits into one"),
        ("any,0:0", "'any' is an interface: it is named elsewhere (-i)"),
        ("vcan0,123:7FF", "'vcan0' is an interface"),
        ("800", "'800' is no identifier: expected 3 digits up to 7FF"),
        ("12345", "'12345' is no identifier: expected 3 digits up to 7FF"),
        ("20000000", "'20000000' is no identifier"),
        ("heartbeat", "'heartbeat' is no filter"),
        (",".join(["1:7FF"] * 513), "513 filters: the kernel takes 512 at most"),
    ],
)
def test_what_was_not_understood_is_named(text: str, reason: str) -> None:
    with pytest.raises(BadFilter) as error:
        parse_filters(text)
    assert reason in error.value.reason
    assert error.value.filter == text


# --- against the kernel's rule ---------------------------------------------------------------------------------------

_NUMBERS = st.integers(0, 0xFFFF_FFFF) | st.sampled_from([0, 0x123, 0x7FF, 0x1FFF_FFFF, EXTENDED, REMOTE, INVERTED])
_FILTERS = st.builds(
    IdFilter,
    # What can be written: seven digits, or eight and then extended.
    (st.integers(0, 0xFFF_FFFF) | st.integers(0, 0x7FFF_FFFF).map(EXTENDED.__or__)).map((~INVERTED).__and__),
    _NUMBERS.map((~INVERTED).__and__),
    st.booleans(),
)
_CAN_FILTERS = st.builds(
    CanFilter, st.lists(_FILTERS, max_size=4).map(tuple), _NUMBERS.map(0x1FFF_FFFF.__and__), st.booleans()
)


@st.composite
def _frames(draw: st.DrawFn, near: list[int]) -> Frame:
    """Half of them with an identifier that one of the filters has."""
    can_id = draw(st.sampled_from(near)) if near and draw(st.booleans()) else draw(st.integers(0, 0x1FFF_FFFF))
    kind = draw(st.sampled_from(["standard", "extended", "error"]))
    if kind == "error":
        return Frame(can_id & 0x1FFF_FFFF, bytes(8), error=True)
    remote = draw(st.booleans())
    extended = kind == "extended"
    return Frame(can_id & (0x1FFF_FFFF if extended else 0x7FF), extended=extended, remote=remote)


def _kernel_passes(wanted: CanFilter, frame: Frame) -> bool:
    """net/can/af_can.c (can_rcv_filter, can_rcv_list_find) and net/can/raw.c (raw_rcv), step by step."""
    raw = frame.can_id | frame.extended << 31 | frame.remote << 30 | frame.error << 29
    lists = wanted.kernel()
    passed = 0
    for can_id, mask in lists:
        inverted = bool(can_id & INVERTED)
        assert not mask & INVERTED, "that would be a filter for error frames"
        if mask & EXTENDED and not can_id & EXTENDED:
            mask &= 0x7FF | EXTENDED | REMOTE
        can_id &= mask
        if not raw & INVERTED and ((raw & mask) != can_id if inverted else (raw & mask) == can_id):
            passed += 1
    if raw & INVERTED and raw & wanted.error_mask & 0x1FFF_FFFF:
        passed += 1
    return passed >= (len(lists) if wanted.join else 1)


@given(_CAN_FILTERS, st.data())
def test_the_same_passes_as_in_the_kernel(wanted: CanFilter, data: st.DataObject) -> None:
    near = [entry.can_id & 0x1FFF_FFFF for entry in wanted.filters]
    frame = data.draw(_frames(near))
    assert wanted.matches(frame) is _kernel_passes(wanted, frame)


@given(_CAN_FILTERS)
def test_a_filter_survives_being_written(wanted: CanFilter) -> None:
    assert parse_filters(str(wanted)).kernel() == wanted.kernel()
    assert parse_filters(str(wanted)).error_mask == wanted.error_mask
    assert parse_filters(str(wanted)).join == wanted.join


@given(st.text("0123456789abcdefx:~#,jJ ", max_size=40) | st.text(max_size=20))
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    try:
        wanted = parse_filters(text)
    except BadFilter as error:
        assert str(error)
    else:
        wanted.matches(STANDARD)


# --- against candump -------------------------------------------------------------------------------------------------


@pytest.mark.lab
def test_candump_shows_the_same(lab) -> None:
    done = lab(sys.executable, str(Path(__file__).with_name("can_filter_scene.py")), timeout_s=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same" in done.stdout
