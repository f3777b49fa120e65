"""What mail, forums and editors add to a line, and that nothing becomes a frame because of it."""

import pytest

from opendiag.frame import Frame
from opendiag.logs import parse_line, pasted

FRAME = Frame(0x665, bytes.fromhex("40786000"), channel="can0")


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("can0  665   [4]  40 78 60 00", id="as it is"),
        pytest.param("can0  665   [4]  40 78 60 00  ;", id="semicolon"),
        pytest.param("> can0  665   [4]  40 78 60 00", id="quoted"),
        pytest.param("> > | can0  665   [4]  40 78 60 00", id="quoted twice, in a table"),
        pytest.param("\t    can0  665   [4]  40 78 60 00   ", id="indented"),
        pytest.param("can0  665   [4]  40 78 60 00 \\", id="backslash"),
        pytest.param("can0  665   [4]  40 78 60 00\\\r\n", id="backslash and CRLF"),
        pytest.param("can0  665   [4]  40 78 60 00<br>", id="tag that sticks to the last byte"),
        pytest.param("\ufeffcan0  665   [4]  40 78 60 00", id="byte order mark"),
        pytest.param("can0\u00a0 665\u00a0 [4]\u00a0 40 78 60 00", id="no-break spaces"),
        pytest.param("can0&nbsp; 665 [4] 40 78 60 00", id="entities"),
        pytest.param("&gt; can0 665 [4] 40 78 60 00", id="quoted in HTML"),
        pytest.param("<p><code>can0  665   [4]  40 78 60 00</code><br/>", id="tags"),
        pytest.param("12: can0  665   [4]  40 78 60 00", id="grep -n"),
        pytest.param("    12\tcan0  665   [4]  40 78 60 00", id="cat -n"),
        pytest.param("12  can0  665   [4]  40 78 60 00", id="line number"),
        pytest.param("can0  665   [4]  40 78 60 00  # position", id="remark"),
        pytest.param("can0  665   [4]  40 78 60 00  // position", id="another remark"),
        pytest.param("can0  665   [4]  40 78 60 00  <- what is this?", id="arrow"),
        pytest.param("\x1b[1m\x1b[34mcan0\x1b[0m  665   [4]  40 78 60 00", id="colours"),
        pytest.param("can0 665#40786000", id="cansend"),
        pytest.param("can0 665#40.78.60.00  # position", id="cansend with dots and a remark"),
        pytest.param("can0 665#40786000<br>", id="cansend in HTML"),
        pytest.param("$ cansend can0 665#40786000", id="a command line"),
    ],
)
def test_still_the_same_frame(line):
    assert parse_line(line) == FRAME


def test_the_time_is_not_taken_for_a_line_number():
    line = "\ufeff (1983257908.681076000)  can0  665   [4]  40 78 60 00"
    assert parse_line(line).time_ns == 1983257908_681076000


@pytest.mark.parametrize(
    "line",
    ["12 added 123 [2] AB CD", "12 123 [2] AB CD", "3. abc [1] 00", "plain words", "can0  665   [4]  40 78 60 00"],
)
def test_nothing_to_undo(line):
    assert pasted.cleaned(line) is None
