"""Captures of others, which are not part of this repository."""

import pytest

from opendiag.errors import NotALog
from opendiag.logs import open_log

pytestmark = pytest.mark.corpus

CANDUMP = {"icsim_sample-can*.log": (6158, "absolute"), "savvycan_candump*.log": (12974, "zero")}


@pytest.mark.parametrize("pattern", CANDUMP)
def test_every_line_is_read_as_it_stands(corpus, pattern):
    (path,) = (corpus / "logs").glob(pattern)
    lines = path.read_text().splitlines()
    log = open_log(path)
    count = 0
    for frame, line in zip(log, lines, strict=True):
        stamp, channel, body = line.split()
        seconds, microseconds = stamp.strip("()").split(".")
        id_text, data = body.split("#")
        assert (frame.id_text, frame.data.hex().upper(), frame.channel) == (id_text, data, channel)
        assert frame.time_ns == int(seconds) * 10**9 + int(microseconds) * 1000
        count += 1
    assert (count, log.time_kind) == CANDUMP[pattern]
    assert log.findings == []


def test_no_other_format_gives_a_single_frame(corpus):
    candump = {path for pattern in CANDUMP for path in (corpus / "logs").glob(pattern)}
    others = sorted(set((corpus / "logs").iterdir()) - candump)
    assert len(others) > 20
    for path in others:
        with pytest.raises(NotALog):
            list(open_log(path))
