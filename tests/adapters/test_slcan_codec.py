"""SLCAN's lines: every form of them, and whatever else a serial line may bring."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.adapters.slcan_clock import StampClock
from opendiag.adapters.slcan_codec import MAX_LINE, Kind, Splitter, encode
from opendiag.frame import FD_LENGTHS, Frame

NOW = 1_700_000_000_000_000_000
MS = 1_000_000


def splitter():
    return Splitter(StampClock().time_ns)


def frames_of(data):
    frames, answers = splitter().feed(data, NOW)
    assert not answers
    return frames


def what(frame):
    """A frame without its time and direction."""
    return (frame.can_id, frame.data, frame.extended, frame.remote, frame.error, frame.fd, frame.brs, frame.dlc)


# line -> frame, both ways
BOTH_WAYS = [
    (b"t1230\r", Frame(0x123)),
    (b"t123411223344\r", Frame(0x123, bytes.fromhex("11223344"))),
    (b"t7FF8FFFFFFFFFFFFFFFF\r", Frame(0x7FF, b"\xff" * 8)),
    (b"T000001230\r", Frame(0x123, extended=True)),
    (b"T1FFFFFFF2BEEF\r", Frame(0x1FFFFFFF, b"\xbe\xef", extended=True)),
    (b"r1238\r", Frame(0x123, remote=True, dlc=8)),
    (b"r1230\r", Frame(0x123, remote=True, dlc=0)),
    (b"r123F\r", Frame(0x123, remote=True, dlc=15)),
    (b"R1F3344552\r", Frame(0x1F334455, extended=True, remote=True, dlc=2)),
    (b"t1239" + b"11" * 8 + b"\r", Frame(0x123, b"\x11" * 8, dlc=9)),
    (b"d1239" + b"AB" * 12 + b"\r", Frame(0x123, b"\xab" * 12, fd=True)),
    (b"D0000012310D\r", Frame(0x123, b"\x0d", extended=True, fd=True)),
    (b"b123F" + b"00" * 64 + b"\r", Frame(0x123, bytes(64), fd=True, brs=True)),
    (b"B12345678A" + b"5A" * 16 + b"\r", Frame(0x12345678, b"\x5a" * 16, extended=True, fd=True, brs=True)),
]


@pytest.mark.parametrize(("line", "frame"), BOTH_WAYS, ids=lambda value: value.decode() if type(value) is bytes else "")
def test_a_line_is_a_frame_and_back(line, frame):
    assert [what(seen) for seen in frames_of(line)] == [what(frame)]
    assert encode(frame) == line


@pytest.mark.parametrize("length", FD_LENGTHS)
@pytest.mark.parametrize("brs", [False, True])
def test_every_length_of_can_fd(length, brs):
    frame = Frame(0x7A5, bytes(range(length)), fd=True, brs=brs)
    assert [what(seen) for seen in frames_of(encode(frame))] == [what(frame)]


def test_lower_case_digits_are_digits():
    assert frames_of(b"t7abD".replace(b"D", b"2") + b"beef\r")[0].data == b"\xbe\xef"


def test_candapters_x_is_an_extended_frame():
    assert what(frames_of(b"x123456782BEEF\r")[0]) == what(Frame(0x12345678, b"\xbe\xef", extended=True))


def test_frames_have_the_hosts_time_and_direction():
    frame = frames_of(b"t1230\r")[0]
    assert (frame.time_ns, frame.direction) == (NOW, "rx")


def test_an_error_frame_cannot_be_sent():
    with pytest.raises(ValueError, match="error frame"):
        encode(Frame(4, bytes(8), error=True))


# --- time stamps


def test_four_digits_are_milliseconds_that_begin_again_every_minute():
    parser = splitter()
    first = parser.feed(b"t1230EA5E\r", NOW)[0][0]
    frames = parser.feed(b"t1230EA5F\rT00000123100" + b"0000\r" + b"r12380001\r", NOW + 3 * MS)[0]
    assert [round((frame.time_ns - first.time_ns) / MS, 2) for frame in frames] == [1, 2, 3]
    assert first.time_ns == NOW


def test_a_minute_of_silence_is_not_lost():
    parser = splitter()
    parser.feed(b"t12300010\r", NOW)
    later = parser.feed(b"t12300020\r", NOW + 60_016 * MS)[0][0]
    assert later.time_ns == NOW + 60_016 * MS


def test_an_impossible_time_stamp_is_counted_and_the_hosts_time_taken():
    clock = StampClock()
    frames, _ = Splitter(clock.time_ns).feed(b"t1230EA60\r", NOW)
    assert (frames[0].time_ns, clock.wrong) == (NOW, 1)


@pytest.mark.parametrize(("per_ms", "period"), [(1000, 3_600_000_000), (1, 1 << 32)], ids=["us", "ms"])
def test_eight_digits_are_microseconds_or_milliseconds(per_ms, period):
    """The firmware of clones disagrees, so the rate tells."""
    parser = splitter()
    start = period - 300 * per_ms  # it begins again on the way
    times = []
    for ms in range(0, 1000, 10):
        late = 5 if ms % 20 else 0  # on the way to the host
        line = b"t1230%08X\r" % ((start + ms * per_ms) % period)
        times.append((ms, parser.feed(line, NOW + (ms + late) * MS)[0][0].time_ns))
    assert [time for _, time in times] == sorted(time for _, time in times)
    assert all(abs(time - NOW - ms * MS) < MS for ms, time in times if ms > 100)


def test_times_never_go_back_when_frames_with_and_without_stamps_are_mixed():
    parser = splitter()
    times = []
    for ms in range(0, 100, 5):
        stamp = b"%04X" % ms if ms % 10 else b""
        late = 20 if not ms % 10 else 0
        times += [frame.time_ns for frame in parser.feed(b"t1230" + stamp + b"\r", NOW + (ms + late) * MS)[0]]
    assert times == sorted(times)


# --- answers


def test_answers_and_where_among_the_frames_they_came():
    frames, answers = splitter().feed(b"z\rt1230\rt1230\r\aZ\rF24\r\rV1013\rNA123\r", NOW)
    assert len(frames) == 2
    assert [(answer.kind, answer.at) for answer in answers] == [
        (Kind.SENT, 0),
        (Kind.REFUSED, 2),
        (Kind.SENT, 2),
        (Kind.STATUS, 2),
        (Kind.OK, 2),
        (Kind.TEXT, 2),
        (Kind.TEXT, 2),
    ]
    assert answers[3].value == 0x24


def test_python_can_slcan_ignores_bel_and_z_and_f_here_each_is_an_answer():
    _, answers = splitter().feed(b"\az\rZ\rF01\r", NOW)
    assert [answer.kind for answer in answers] == [Kind.REFUSED, Kind.SENT, Kind.SENT, Kind.STATUS]


def test_bel_ends_a_line_too():
    parser = splitter()
    frames, answers = parser.feed(b"t12\at1230\r", NOW)
    assert len(frames) == 1 and [answer.kind for answer in answers] == [Kind.REFUSED]
    assert (parser.malformed, parser.skipped) == (1, 4)


@pytest.mark.parametrize(
    ("line", "state", "rx_errors", "tx_errors", "can_id", "data"),
    [
        (b"sa000000\r", "error-active", 0, 0, 0x204, "0040000000000000"),
        (b"sw097000\r", "error-warning", 97, 0, 0x204, "0004000000000061"),
        (b"sw000096\r", "error-warning", 0, 96, 0x204, "0008000000006000"),
        (b"sp128128\r", "error-passive", 128, 128, 0x204, "0030000000008080"),
        (b"sb255000\r", "bus-off", 255, 0, 0x040, "0000000000000000"),
    ],
)
def test_the_state_lines_of_the_linux_driver(line, state, rx_errors, tx_errors, can_id, data):
    frames, answers = splitter().feed(line, NOW)
    assert (frames[0].error, frames[0].can_id, frames[0].data.hex()) == (True, can_id, data)
    assert (answers[0].state, answers[0].rx_errors, answers[0].tx_errors) == (state, rx_errors, tx_errors)


@pytest.mark.parametrize(
    ("line", "can_id", "data"),
    [
        (b"e2af\r", 0x0A8, "0000021900000000"),
        (b"e1b\r", 0x088, "0000080000000000"),
        (b"e1B\r", 0x088, "0000100000000000"),
        (b"e1c\r", 0x088, "0000000800000000"),
        (b"e1s\r", 0x088, "0000040000000000"),
        (b"e2oO\r", 0x004, "0003000000000000"),
    ],
)
def test_the_error_lines_of_the_linux_driver(line, can_id, data):
    (frame,) = frames_of(line)
    assert (frame.error, frame.can_id, frame.data.hex()) == (True, can_id, data)


@pytest.mark.parametrize("line", [b"e3af\r", b"e1x\r", b"e0\r", b"sx000000\r", b"sa00000\r", b"sa0000000\r"])
def test_error_lines_that_are_none(line):
    parser = splitter()
    assert parser.feed(line, NOW) == ([], [])
    assert parser.malformed == 1


def test_an_error_report_of_the_elmuesoft_firmware():
    """Passive, no acknowledge, 128 and 12 errors."""
    frames, answers = splitter().feed(b"E2310800C\r", NOW)
    assert [hex(frame.can_id) for frame in frames] == ["0xa8", "0x204"]
    assert (answers[0].state, answers[0].tx_errors, answers[0].rx_errors) == ("error-passive", 128, 12)


class TestCanablesErrorRegister:
    """Its text ends without CR."""

    def test_at_the_end_of_what_came(self):
        parser = splitter()
        assert parser.feed(b"CANable Error Register: 4", NOW) == ([], [])
        (answer,) = parser.idle()
        assert (answer.kind, answer.value) == (Kind.REGISTER, 4)
        assert len(parser.feed(b"t1230\r", NOW)[0]) == 1
        assert parser.malformed == 0

    @pytest.mark.parametrize("frame", [b"t1230", b"T000001230", b"r1238", b"B000001230", b"D0000012310D"])
    @pytest.mark.parametrize("register", [b"0", b"4", b"1D", b"7F"])
    def test_with_a_frame_right_behind_it(self, register, frame):
        frames, answers = splitter().feed(b"CANable Error Register: " + register + frame + b"\r", NOW)
        assert [answer.value for answer in answers] == [int(register, 16)]
        assert [encode(seen) for seen in frames] == [frame + b"\r"]

    def test_nothing_is_taken_out_of_the_middle_of_a_line(self):
        parser = splitter()
        parser.feed(b"CANable Error Register: 0t12", NOW)
        assert parser.idle() == []
        assert len(parser.feed(b"30\r", NOW)[0]) == 1


# --- what is no line

NO_LINES = [
    b"t12\r",  # python-can: IndexError, and its thread is gone
    b"t\r",
    b"t123\r",
    b"t1232AA\r",
    b"t1231AABB\r",
    b"t1231AABBCCDD\r",  # 4 or 8 digits more are a time stamp, 6 are not
    b"t8001AA\r",
    b"tFFF0\r",
    b"T200000000\r",
    b"T12340\r",
    b"t12_0\r",  # int() and fromhex() take _ and blanks
    b"t 120\r",
    b"t1232 A B\r",
    b"t1232AABB\n\r",
    b"t1232A\xc4BB\r",  # python-can: UnicodeDecodeError at every later read
    b"\xff\xfe\x00\r",
    b"r123211\r",
    b"q1230\r",
    b"t123X\r",  # python-can: ValueError
    b"d1239AB\r",
    b"F1\r",
    b"F123\r",
    b"zz\r",
    b"CANable Error Register: \r",
    b"CANable Error Register: 0t12\r",
]


@pytest.mark.parametrize("line", NO_LINES)
def test_what_is_no_line_is_counted_and_the_next_frame_is_seen(line):
    parser = splitter()
    frames, answers = parser.feed(line + b"t1230\r", NOW)
    assert [what(frame) for frame in frames] == [what(Frame(0x123))]
    assert parser.malformed == 1
    assert [answer.kind for answer in answers if answer.kind is not Kind.REGISTER] == []


def test_joined_in_mid_frame():
    parser = splitter()
    assert len(parser.feed(b"22334455\rt1230\r", NOW)[0]) == 1
    assert (parser.malformed, parser.skipped) == (1, 9)


def test_a_stream_without_cr_does_not_grow_for_ever():
    parser = splitter()
    for _ in range(1000):
        assert parser.feed(b"A" * 500, NOW) == ([], [])
        assert len(parser._rest) <= MAX_LINE
    frames, answers = parser.feed(b"AA\rt1230\r", NOW)
    assert len(frames) == 1 and not answers
    assert parser.malformed == 1
    assert parser.skipped == 1000 * 500 + 3


def test_the_end_of_a_line_that_was_too_long_is_no_frame():
    """A hole in the data is not the start of a line."""
    parser = splitter()
    parser.feed(b"A" * (MAX_LINE + 1), NOW)
    assert parser.feed(b"t1230\r", NOW) == ([], [])


def test_after_a_reset_the_rest_belongs_to_nothing():
    parser = splitter()
    parser.feed(b"t12", NOW)
    parser.reset()
    assert len(parser.feed(b"t1230\r", NOW)[0]) == 1


# --- any bytes

standard_ids = st.integers(0, 0x7FF)
extended_ids = st.integers(0, 0x1FFF_FFFF)
data = st.binary(max_size=8)
fd_data = st.sampled_from(FD_LENGTHS).flatmap(lambda length: st.binary(min_size=length, max_size=length))
frames = st.one_of(
    st.builds(Frame, standard_ids, data),
    st.builds(Frame, extended_ids, data, extended=st.just(True)),
    st.builds(Frame, standard_ids, remote=st.just(True), dlc=st.integers(0, 15)),
    st.builds(Frame, standard_ids, fd_data, fd=st.just(True), brs=st.booleans()),
    st.builds(Frame, extended_ids, fd_data, extended=st.just(True), fd=st.just(True), brs=st.booleans()),
)


@given(frames)
def test_every_frame_survives(frame):
    assert [what(seen) for seen in frames_of(encode(frame))] == [what(frame)]


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_any_bytes_raise_nothing_and_every_byte_is_accounted_for(pieces):
    parser = splitter()
    seen, answers = [], []
    for piece in pieces:
        more_frames, more_answers = parser.feed(piece, NOW)
        seen += more_frames
        answers += more_answers
    parser.idle()
    assert len(parser._rest) <= MAX_LINE
    if not answers:
        rebuilt = sum(len(encode(frame)) for frame in seen if not frame.error)
        stamps = 8 * len(seen)
        total = sum(map(len, pieces))
        assert rebuilt + parser.skipped <= total <= rebuilt + stamps + parser.skipped + len(parser._rest)


@given(st.lists(frames, min_size=1, max_size=8), st.data())
def test_cuts_anywhere_change_nothing(sent, draw):
    stream = b"".join(map(encode, sent))
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    parser, seen = splitter(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        seen += parser.feed(stream[start:end], NOW)[0]
    assert [what(frame) for frame in seen] == [what(frame) for frame in sent]
    assert parser.malformed == parser.skipped == 0


def test_a_cut_at_every_boundary():
    stream = b"t12341122334\rt1230\r\az\rb1239" + b"AB" * 12 + b"\rF00\rT1FFFFFFF0\r"
    whole = splitter().feed(stream, NOW)
    for cut in range(len(stream) + 1):
        parser = splitter()
        first, second = parser.feed(stream[:cut], NOW), parser.feed(stream[cut:], NOW)
        assert [what(frame) for frame in first[0] + second[0]] == [what(frame) for frame in whole[0]]
        assert [answer.kind for answer in first[1] + second[1]] == [answer.kind for answer in whole[1]]


def damaged(stream, rng):
    """One byte lost, inserted or changed; where, and the stream."""
    at = rng.randrange(len(stream))
    kind = rng.choice(["lost", "inserted", "changed"])
    byte = bytes([rng.randrange(256)])
    return at, stream[:at] + (b"" if kind == "lost" else byte) + stream[at + (kind != "inserted") :]


@pytest.mark.parametrize("seed", range(300))
def test_one_bad_byte_costs_at_most_its_frame_and_the_next_one(seed):
    rng = random.Random(seed)
    sent = [Frame(0x100 + number, bytes([number] * (number % 9))) for number in range(20)]
    lines = [encode(frame) for frame in sent]
    at, stream = damaged(b"".join(lines), rng)
    hit = next(number for number in range(20) if at < sum(map(len, lines[: number + 1])))
    parser = splitter()
    seen = {what(frame) for frame in parser.feed(stream, NOW)[0]}
    missing = {number for number in range(20) if what(sent[number]) not in seen}
    assert missing <= {hit, hit + 1}
    assert len(seen) >= 18


@given(st.binary(min_size=1, max_size=40).filter(lambda noise: noise[-1:] not in (b"\r", b"\a")))
def test_noise_before_a_frame_costs_that_frame_only(noise):
    parser = splitter()
    frames = parser.feed(noise + b"t1110\rt2220\rt3330\r", NOW)[0]
    assert [frame.can_id for frame in frames][-2:] == [0x222, 0x333]


def test_bulk_is_parsed_in_bulk():
    """python-can takes one byte at a time: 2500 to 4200 frames per second."""
    import time

    stream = b"".join(encode(Frame(number % 0x800, bytes(8))) for number in range(20_000))
    start = time.process_time()
    assert len(splitter().feed(stream, NOW)[0]) == 20_000
    assert time.process_time() - start < 1.0
