"""Bytes of a USB-CAN Analyzer to frames: whole, cut anywhere, damaged, and pure noise."""

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from opendiag.adapters.usbcan_codec import Status, pack_frame
from opendiag.adapters.usbcan_parser_codec import SILENCE_NS, Parser
from opendiag.frame import Frame

EIGHT = bytes.fromhex("1122334455667788")
STATUS = bytes.fromhex("AA 55 04 60 80 01 02 03 04 00 00 00 00 00 00 00 00 00 00 EE")
LATER = 10 * SILENCE_NS


def key(frame):
    return (frame.can_id, frame.data, frame.extended, frame.remote, frame.dlc)


def keys(frames):
    return [key(frame) for frame in frames]


def parse(stream, *, fixed=False, step=None, parser=None):
    """All frames of a stream that comes in pieces of ``step`` bytes and then ends."""
    parser = parser or Parser(fixed=fixed)
    step = step or len(stream) or 1
    frames = [frame for at in range(0, len(stream), step) for frame in parser.feed(stream[at : at + step], 0)]
    return frames + parser.silence(LATER)


#: Bytes that make trouble: starts, ends and kinds of messages.
nasty = st.sampled_from(list(bytes.fromhex("AA 55 C0 C1 C8 E8 D8 00 01 05")))
contents = st.one_of(st.binary(max_size=8), st.lists(nasty, max_size=8).map(bytes))
standard = st.one_of(st.integers(0, 0x7FF), st.sampled_from([0x55, 0xAA, 0xC8, 0x0C7, 0x555, 0x2AA]))
long = st.one_of(st.integers(0, 0x1FFFFFFF), st.sampled_from([0x1FC0AA55, 0x00AA55C8, 0x1801AA55]))
frames_ = st.one_of(
    st.builds(Frame, standard, contents),
    st.builds(Frame, long, contents, st.just(True)),
    st.builds(lambda number, dlc: Frame(number, remote=True, dlc=dlc), standard, st.integers(0, 8)),
    st.builds(lambda number, dlc: Frame(number, b"", True, True, dlc=dlc), long, st.integers(0, 8)),
)


def wires(frames, fixed, filler=b""):
    return [wire(frame, fixed, filler) for frame in frames]


def wire(frame, fixed, filler):
    """As an adapter sends it: what a remote frame carries has no meaning."""
    packed = pack_frame(frame, fixed=fixed)
    if frame.remote and filler and not fixed:
        return packed[: -1 - frame.dlc] + (filler * 8)[: frame.dlc] + packed[-1:]
    return packed


# --- whole streams


@pytest.mark.parametrize(
    ("stream", "frame"),
    [
        ("AA C8 23 01 11 22 33 44 55 66 77 88 55", Frame(0x123, EIGHT)),
        ("AA C2 03 01 11 22 55", Frame(0x103, b"\x11\x22")),
        ("AA E8 67 45 23 01 11 22 33 44 55 66 77 88 55", Frame(0x01234567, EIGHT, extended=True)),
        ("AA E2 21 30 03 01 11 22 55", Frame(0x01033021, b"\x11\x22", extended=True)),
        ("AA C0 80 00 55", Frame(0x080)),
        ("AA C1 05 07 7F 55", Frame(0x705, b"\x7f")),
        ("AA 55 01 01 01 23 01 00 00 08 11 22 33 44 55 66 77 88 00 93", Frame(0x123, EIGHT)),
        ("AA 55 01 01 01 23 01 00 00 01 11 22 33 44 55 66 77 88 00 8C", Frame(0x123, b"\x11")),
    ],
)
def test_frames_that_manuals_show(stream, frame):
    parser = Parser()
    (got,) = parser.feed(bytes.fromhex(stream), 5)
    assert key(got) == key(frame)
    assert (got.time_ns, got.direction, parser.resyncs) == (5, "rx", 0)


def test_what_a_remote_frame_carries_is_no_data_and_no_frame():
    """python-can's seeedstudio hands it up as data."""
    stream = bytes.fromhex("AA D8 FF 07 AA C1 05 07 7F 55 AA C0 55 AA C1 05 07 7F 55")
    assert keys(Parser().feed(stream, 0)) == keys([Frame(0x7FF, remote=True, dlc=8), Frame(0x705, b"\x7f")])


@given(st.lists(frames_, max_size=8), st.booleans(), st.binary(max_size=8), st.integers(1, 40))
def test_no_cut_changes_anything(frames, fixed, filler, step):
    stream = b"".join(wires(frames, fixed, filler))
    parser = Parser(fixed=fixed)
    assert keys(parse(stream, step=step, parser=parser)) == keys(frames)
    assert not parser.pending
    assert (parser.resyncs, parser.skipped, parser.unended) == (0, 0, 0)


@pytest.mark.parametrize("fixed", [False, True])
def test_every_cut_of_two_frames(fixed):
    frames = [Frame(0x155, b"\xaa\x55\xaa\xc8\x55\x55\xaa\xaa"), Frame(0x1FAA55AA, b"\x55\xaa", extended=True)]
    stream = b"".join(wires(frames, fixed))
    for cut in range(len(stream) + 1):
        parser = Parser(fixed=fixed)
        got = parser.feed(stream[:cut], 1) + parser.feed(stream[cut:], 2)
        assert keys(got) == keys(frames)
        assert parser.resyncs == 0


@given(st.lists(frames_, max_size=6), st.integers(0, 6), st.integers(1, 30))
def test_a_status_comes_among_frames(frames, place, step):
    parts = wires(frames, False)
    parts.insert(place, STATUS)
    parser = Parser()
    assert keys(parse(b"".join(parts), step=step, parser=parser)) == keys(frames)
    assert parser.statuses == [Status(0x60, 0x80, b"\x01\x02\x03\x04")]
    assert (parser.resyncs, parser.unknown) == (0, 0)


def test_a_message_that_nobody_knows_is_counted_and_costs_nothing():
    body = bytes.fromhex("AA 55 07") + bytes(16)
    parser = Parser()
    assert keys(parser.feed(body + b"\x07" + STATUS + pack_frame(Frame(0x80)), 0)) == keys([Frame(0x80)])
    assert (parser.unknown, parser.resyncs) == (1, 0)


def test_a_gap_inside_a_frame_is_no_damage():
    """python-can's seeedstudio dies of a gap of 0.1 s: ord() of nothing, in the thread of its Notifier."""
    stream = pack_frame(Frame(0x123, EIGHT))
    for cut in range(1, len(stream) - 1):
        parser = Parser()
        assert parser.feed(stream[:cut], 0) == []
        assert parser.silence(LATER) == []
        assert keys(parser.feed(stream[cut:], LATER)) == keys([Frame(0x123, EIGHT)])
        assert parser.resyncs == 0


# --- the end of a stream


def test_a_frame_whose_end_never_comes_is_not_stuck():
    stream = pack_frame(Frame(0x123, EIGHT))
    parser = Parser()
    assert parser.feed(stream[:-1], 1000) == []
    assert parser.silence(1000 + SILENCE_NS - 1) == [], "it may still come"
    assert keys(parser.silence(1000 + SILENCE_NS)) == keys([Frame(0x123, EIGHT)])
    assert (parser.unended, parser.pending) == (1, False)
    assert parser.silence(LATER) == []


def test_a_last_frame_that_lost_a_byte_is_not_made_up():
    stream = pack_frame(Frame(0x123, EIGHT))
    parser = Parser()
    assert parser.feed(stream[:5] + stream[6:], 0) == []
    assert parser.silence(LATER) == []
    after = [Frame(0x80), Frame(0x81)]
    assert keys(parse(b"".join(wires(after, False)), parser=parser)) == keys(after)
    assert parser.resyncs == 1


@pytest.mark.parametrize("kept", range(1, 20))
def test_a_frame_behind_half_a_status_is_not_stuck(kept):
    """The damaged message announces 20 bytes: an answer that comes next must not wait for the one after it."""
    parser = Parser()
    assert parser.feed(STATUS[:kept] + pack_frame(Frame(0x581, b"\x43" + EIGHT[1:])), 0) == []
    assert keys(parser.silence(SILENCE_NS)) == keys([Frame(0x581, b"\x43" + EIGHT[1:])])
    assert (parser.resyncs, parser.skipped) == (1, kept)


def test_reset_forgets_a_half_frame():
    parser = Parser()
    parser.feed(b"\xaa\xc8\x23", 0)
    parser.reset()
    assert not parser.pending
    assert keys(parser.feed(pack_frame(Frame(0x80)), 0)) == keys([Frame(0x80)])
    assert parser.resyncs == 0


# --- damage


def missing(frames, got):
    """How many of ``frames`` are not there any more, in their order."""
    row = [0] * (len(got) + 1)
    for frame in frames:
        new = [0]
        for place, other in enumerate(got):
            new.append(row[place] + 1 if frame == other else max(row[place + 1], new[-1]))
        row = new
    return len(frames) - row[-1]


@given(st.lists(frames_, min_size=1, max_size=10), st.booleans(), st.integers(0), st.integers(1, 50))
@example([Frame(0x0C7, b"\x03\x04"), Frame(0x80), Frame(0x81)], False, 1, 50)  # what is left is a frame as well
def test_a_lost_byte_costs_two_frames_at_most(frames, fixed, place, step):
    stream = b"".join(wires(frames, fixed))
    place %= len(stream)
    parser = Parser(fixed=fixed)
    got = parse(stream[:place] + stream[place + 1 :], step=step, parser=parser)
    assert missing(keys(frames), keys(got)) <= 2
    if keys(got) != keys(frames):
        assert parser.resyncs + parser.unended + parser.pending or len(got) == len(frames)


@given(st.lists(frames_, min_size=1, max_size=10), st.booleans(), st.integers(0), nasty, st.integers(1, 50))
def test_an_inserted_byte_costs_two_frames_at_most(frames, fixed, place, byte, step):
    stream = b"".join(wires(frames, fixed))
    place %= len(stream) + 1
    parser = Parser(fixed=fixed)
    got = parse(stream[:place] + bytes([byte]) + stream[place:], step=step, parser=parser)
    assert missing(keys(frames), keys(got)) <= 2
    assert parser.skipped >= 1 or parser.pending or parser.unended or keys(got) != keys(frames)


@given(st.lists(frames_, min_size=2, max_size=8), st.integers(0, 7), st.binary(min_size=1, max_size=30), st.booleans())
def test_noise_between_frames_costs_two_frames_at_most(frames, place, noise, fixed):
    parts = wires(frames, fixed)
    parts.insert(place, bytes(byte & 0x7F for byte in noise))  # no start byte in it
    parser = Parser(fixed=fixed)
    got = parse(b"".join(parts), parser=parser)
    assert keys(got) == keys(frames)
    assert parser.skipped == len(noise)


@given(
    st.lists(frames_, min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 100), st.sampled_from(["lose", "insert", "change"]), nasty), max_size=4),
    st.lists(st.integers(1, 30), min_size=1, max_size=5),
    st.booleans(),
)
def test_damage_reads_the_same_however_it_is_cut(frames, damage, steps, fixed):
    stream = bytearray(b"".join(wires(frames, fixed)))
    for place, what, byte in damage:
        place %= len(stream) or 1
        replacement = {"lose": b"", "insert": bytes([byte]) + stream[place : place + 1], "change": bytes([byte])}[what]
        stream[place : place + 1] = replacement
    one = Parser(fixed=fixed)
    whole = keys(parse(bytes(stream), parser=one))
    for step in steps:
        other = Parser(fixed=fixed)
        assert keys(parse(bytes(stream), step=step, parser=other)) == whole
        assert (other.skipped, other.unended, other.pending) == (one.skipped, one.unended, one.pending)


@given(st.lists(st.one_of(st.binary(max_size=60), st.lists(nasty, max_size=60).map(bytes)), max_size=6), st.booleans())
def test_noise_never_raises_and_frames_behind_it_are_found(pieces, fixed):
    parser = Parser(fixed=fixed)
    for number, piece in enumerate(pieces):
        parser.feed(piece, number)
        parser.silence(number + (number % 2) * LATER)
    good = [Frame(0x100 + number, EIGHT) for number in range(12)]
    got = keys(parse(b"".join(wires(good, fixed)), parser=parser))
    # Noise may end in what begins like a message of 20 bytes, and so once more in what follows.
    assert got[-8:] == keys(good)[-8:]


def test_a_fixed_stream_never_gives_a_frame_with_a_wrong_checksum():
    frames = [Frame(0x181 + number, EIGHT) for number in range(5)]
    parts = wires(frames, True)
    for place in range(20):
        damaged = bytearray(parts[2])
        damaged[place] ^= 0x10
        parser = Parser(fixed=True)
        got = keys(parse(b"".join([*parts[:2], bytes(damaged), *parts[3:]]), parser=parser))
        assert got == keys(frames[:2] + frames[3:]), place
        assert (parser.resyncs, parser.skipped) == (1, 20)


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("unit", [b"\xaa", b"\x55", b"\xaa\x55", b"\xaa\xc8", b"\xaa\x55\x01", b"\xaa\xc0", b"\x00"])
def test_endless_noise_takes_neither_memory_nor_ages(unit, fixed):
    parser = Parser(fixed=fixed)
    for _ in range(50):
        parser.feed(unit * 1000, 0)
        assert len(parser._rest) < 100
    assert parser.skipped > 49_000


def test_a_wrong_end_byte_is_counted():
    """python-can's seeedstudio drops such a frame without a word."""
    frames = [Frame(0x100 + number, EIGHT) for number in range(4)]
    stream = b"".join(wires(frames, False))
    parser = Parser()
    assert keys(parse(stream[:25] + b"\x54" + stream[26:], parser=parser)) == keys([frames[0], *frames[2:]])
    assert (parser.resyncs, parser.skipped) == (1, 13)


def test_a_start_byte_in_the_payload_does_not_eat_the_next_frame():
    """python-can's seeedstudio looks for the next start byte wherever it stands."""
    trap = Frame(0x101, bytes.fromhex("AA C8 01 01 55 AA C8 55"))
    frames = [Frame(0x100, EIGHT), trap, Frame(0x102, EIGHT), Frame(0x103, EIGHT)]
    stream = b"".join(wires(frames, False))
    for place in range(13, 26):  # any byte of the trap gets lost
        assert keys(parse(stream[:place] + stream[place + 1 :]))[-2:] == keys(frames[-2:]), place


def test_much_damage_in_much_traffic_costs_little():
    source = random.Random(4)
    frames = [Frame(source.randrange(0x800), source.randbytes(source.randrange(9))) for _ in range(4000)]
    parts = wires(frames, False)
    for place in range(20, 4000, 20):
        cut = source.randrange(len(parts[place]))
        parts[place] = parts[place][:cut] + parts[place][cut + 1 :]
    parser = Parser()
    got = parse(b"".join(parts), step=32, parser=parser)
    assert parser.resyncs >= 150
    assert len(set(keys(frames)) - set(keys(got))) <= 2 * 199
