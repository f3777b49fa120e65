"""What NMT, SYNC and TIME messages refuse to encode; the bytes are among the golden vectors."""

import pytest

from opendiag.errors import WireError
from opendiag.wire.nmt import NmtCommand, NmtMessage, NmtState
from opendiag.wire.sync import Sync
from opendiag.wire.time_stamp import TimeOfDay


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (NmtMessage(NmtCommand.START, 128), "node-ID 128 is outside 0..127"),
        (NmtMessage(NmtCommand.START, -1), "node-ID -1"),
        (Sync(0), "counter 0 is outside 1..240"),
        (Sync(241), "counter 241"),
        (Sync(256), "counter 256"),
        (TimeOfDay(1 << 28, 0), "28 bits of ms and 16 bits of days, not 268435456 and 0"),
        (TimeOfDay(0, 1 << 16), "not 0 and 65536"),
        (TimeOfDay(-1, 0), "not -1 and 0"),
    ],
    ids=lambda value: repr(value) if not isinstance(value, str) else "",
)
def test_what_does_not_fit_is_refused(message, reason):
    with pytest.raises(WireError, match=reason):
        message.encode()


def test_states_are_named_as_people_write_them():
    assert [state.text for state in NmtState] == ["INITIALISING", "STOPPED", "OPERATIONAL", "PRE-OPERATIONAL"]


def test_commands_have_texts_of_their_own():
    assert len({command.text for command in NmtCommand}) == len(NmtCommand) == 5
