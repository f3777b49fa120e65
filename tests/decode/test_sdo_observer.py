"""The observer against conversations that correct peers hold, and against the same ones damaged in every place.

`Transfer` and `Outcome` are judged here; what becomes of them in a record is `test_decoder.py`'s business.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sdo_talk import (
    BLOCK_SIZES,
    CLIENT,
    INDEX,
    SERVER,
    SIZES_BLOCK,
    SIZES_SEGMENTED,
    SMALL,
    SUBINDEX,
    aborted,
    block,
    expedited,
    label,
    payload,
    segmented,
    talks,
)

from opendiag.decode.sdo_observer import SdoObserver
from opendiag.decode.sdo_transfer import Outcome
from opendiag.wire import sdo, sdo_block

KINDS = ("read", "write")


def observe(messages, end=True):
    """Transfers in the order in which they are reported; frame n comes at n microseconds."""
    observer = SdoObserver()
    transfers = []
    for number, (from_client, data) in enumerate(messages, 1):
        transfers += observer.feed(from_client, data, number, number * 1000)
    return transfers + (observer.finish() if end else [])


def only(messages):
    transfers = observe(messages)
    assert len(transfers) == 1, transfers
    return transfers[0]


def is_sound(transfer):
    """Would a record of it be `ok`, with a value?"""
    return transfer.outcome is Outcome.DONE and not transfer.doubtful


def assert_whole(transfer, talk, *flags):
    """All of the conversation became this one transfer, and its data are right."""
    assert is_sound(transfer), transfer.problems
    assert (transfer.kind, transfer.index, transfer.subindex) == (talk.kind, talk.index, talk.subindex)
    assert transfer.protocol == talk.protocol
    assert bytes(transfer.data) == talk.data
    assert tuple(transfer.problems) == flags
    count = len(talk.messages)
    assert transfer.frames == list(range(1, count + 1))
    assert (transfer.start_ns, transfer.answer_ns, transfer.end_ns) == (1000, 2000, 1000 * count)


# --- correct conversations -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_expedited(kind, size):
    talk = expedited(kind, payload(size))
    assert_whole(only(talk.messages), talk)


@pytest.mark.parametrize("kind", KINDS)
def test_expedited_whose_size_is_not_said(kind):
    talk = expedited(kind, payload(4), sized=False)
    assert_whole(only(talk.messages), talk, "size-not-indicated")


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("size", SIZES_SEGMENTED)
@pytest.mark.parametrize("kind", KINDS)
def test_segmented(kind, size, announced):
    talk = segmented(kind, payload(size), announced)
    transfer = only(talk.messages)
    assert_whole(transfer, talk)
    assert transfer.announced == (size if announced else None)


def test_a_last_segment_without_data_is_noted():
    talk = segmented("read", payload(14), empty_end=True)
    assert_whole(only(talk.messages), talk, "empty-last-segment")


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("crc", [True, False])
@pytest.mark.parametrize("block_size", BLOCK_SIZES)
@pytest.mark.parametrize("size", SIZES_BLOCK)
@pytest.mark.parametrize("kind", KINDS)
def test_block(kind, size, block_size, crc, announced):
    talk = block(kind, payload(size), block_size, crc, announced)
    assert_whole(only(talk.messages), talk, *["crc-ok"] * crc)


@pytest.mark.parametrize("kind", KINDS)
def test_block_without_any_data(kind):
    talk = block(kind, b"")
    assert_whole(only(talk.messages), talk, "crc-ok")


@pytest.mark.parametrize("hidden", [False, True], ids=["captured", "not captured"])
@pytest.mark.parametrize(
    "lost",
    [{1}, {2}, {4}, {5}, {7}, {8}, {1, 5}, {2, 6, 7}, set(range(1, 5))],
    ids=lambda lost: "lost-" + "-".join(map(str, sorted(lost))),
)
@pytest.mark.parametrize("kind", KINDS)
def test_segments_that_are_sent_again(kind, lost, hidden):
    """50 bytes are eight segments; segments 5 to 8 are the last sub-block, and 8 the last of all."""
    talk = block(kind, payload(50), 4, lost=lost, hidden=hidden)
    transfer = only(talk.messages)
    flags = list(transfer.problems)
    assert flags == ["crc-ok"] or flags == ["block-repeated", "crc-ok"]
    if not hidden:
        assert "block-repeated" in flags
    assert_whole(transfer, talk, *flags)


@pytest.mark.parametrize("crc", [True, False])
def test_segments_are_sent_again_without_a_size_that_would_tell(crc):
    talk = block("write", payload(50), 4, crc, announced=False, lost={2, 9})
    assert_whole(only(talk.messages), talk, "block-repeated", *["crc-ok"] * crc)


def test_the_first_block_size_does_not_bind_the_next_sub_block():
    talk = block("write", payload(21), 2)
    larger = [
        (c, sdo_block.BlockAck(2, 5).encode()) if data[0] == 0xA2 and not c else (c, data) for c, data in talk.messages
    ]
    at = next(i for i, (c, data) in enumerate(larger) if data[0] == 0xA2 and not c)
    assert larger[at + 1][1][0] == 0x81, "the second sub-block has one segment"
    larger[-3] = (SERVER, sdo_block.BlockAck(1, 5).encode())
    assert_whole(only(larger), talk, "crc-ok")


@pytest.mark.parametrize("size", [3, 30])
def test_a_server_that_answers_a_block_upload_without_blocks(size):
    ask = sdo_block.BlockUploadInitiate(INDEX, SUBINDEX, 127, switch_below=100)
    if size > 4:
        talk = segmented("read", payload(size), switched_from=ask)
    else:
        plain = expedited("read", payload(size))
        talk = plain.but([(CLIENT, ask.encode()), *plain.messages[1:]])
    assert_whole(only(talk.messages), talk, "protocol-switch")


@pytest.mark.parametrize("length", [4, 5, 6, 7])
def test_short_frames_of_a_tolerant_server(length):
    talk = expedited("write", payload(2))
    shorter = talk.but([talk.messages[0], (SERVER, talk.messages[1][1][:length])])
    assert_whole(only(shorter.messages), shorter, "short-frame")


@given(st.lists(talks(), min_size=1, max_size=6))
def test_any_conversations_one_after_the_other(several):
    transfers = observe([message for talk in several for message in talk.messages])
    assert [bytes(t.data) for t in transfers] == [talk.data for talk in several]
    assert [t.kind for t in transfers] == [talk.kind for talk in several]
    assert [(t.index, t.subindex) for t in transfers] == [(talk.index, talk.subindex) for talk in several]
    assert all(map(is_sound, transfers))


# --- aborts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_client", [True, False], ids=["client", "server"])
@pytest.mark.parametrize("talk", SMALL, ids=label)
def test_an_abort_by_either_side_at_every_point(talk, by_client):
    for position in range(1, len(talk.messages)):
        transfer = only(aborted(talk, position, by_client, 0x0601_0000))
        assert transfer.outcome is Outcome.ABORTED
        assert (transfer.abort.code, transfer.abort_by) == (0x0601_0000, "client" if by_client else "server")
        assert (transfer.kind, transfer.index, transfer.subindex) == (talk.kind, talk.index, talk.subindex)
        assert transfer.frames == list(range(1, position + 2))
        assert not transfer.problems.keys() - {"block-repeated", "size-not-indicated"}


def test_an_abort_counts_for_the_transfer_under_way_whatever_it_names():
    talk = expedited("read", b"\1")
    transfer = only(aborted(talk, 1, SERVER, 0x0602_0000, 0x1234, 0))
    assert (transfer.outcome, transfer.index) == (Outcome.ABORTED, INDEX)
    assert transfer.problems == {"abort-names-other-object": "the abort names 1234:00"}


@pytest.mark.parametrize("by_client", [True, False], ids=["client", "server"])
def test_an_abort_while_nothing_is_under_way(by_client):
    talk = expedited("read", b"\1")
    done, stray = observe(aborted(talk, 2, by_client, 0x0504_0000))
    assert_whole(done, talk)
    assert (stray.outcome, list(stray.problems)) == (Outcome.STRAY, ["nothing-to-abort"])
    assert stray.abort.code == 0x0504_0000 and stray.kind == ""


def test_an_abort_ends_a_report_of_strays():
    (_, segment), *_ = segmented("read", payload(20)).messages[3:]
    stray, abort = observe([(SERVER, segment), (SERVER, sdo.Abort(INDEX, SUBINDEX, 0x0800_0000).encode())])
    assert list(stray.problems) == ["start-missing"] and list(abort.problems) == ["nothing-to-abort"]


# --- requests that nobody answers, answers that nobody asked for ---------------------------------------------------


@pytest.mark.parametrize("talk", SMALL, ids=label)
def test_a_capture_that_ends_too_early(talk):
    """A request alone is unanswered, more than that incomplete; it is never a timeout and never has a value."""
    for count in range(1, len(talk.messages)):
        transfer = only(talk.messages[:count])
        assert transfer.outcome is (Outcome.UNANSWERED if count == 1 else Outcome.INCOMPLETE)
        assert transfer.cut_by == "capture-end" and transfer.abort is None
        assert transfer.frames == list(range(1, count + 1))
        assert (transfer.kind, transfer.index, transfer.subindex) == (talk.kind, talk.index, talk.subindex)
        if count == 1 and talk.kind == "read":
            assert not transfer.data and transfer.answer_ns is None


NEXT = [
    expedited("read", b"\x11\x22", index=0x3001),
    expedited("write", b"\x11\x22", index=0x3001),
    segmented("read", payload(9), index=0x3001),
    segmented("write", payload(9), index=0x3001),
    block("read", payload(9), index=0x3001),
    block("write", payload(9), index=0x3001),
]


def assert_next_is_right(transfers, following, first_frame):
    """The conversation after the trouble is decoded as if nothing had been."""
    last = transfers[-1]
    assert is_sound(last), (last.outcome, last.problems)
    assert (last.kind, last.index, last.protocol) == (following.kind, following.index, following.protocol)
    assert bytes(last.data) == following.data
    assert last.frames == list(range(first_frame, first_frame + len(following.messages)))
    assert all(first_frame not in t.frames for t in transfers[:-1]), "one frame in two transfers"


@pytest.mark.parametrize("following", NEXT, ids=label)
@pytest.mark.parametrize("talk", SMALL, ids=label)
def test_a_capture_that_starts_too_late(talk, following):
    for count in range(1, len(talk.messages) + 1):
        rest = talk.messages[count:]
        transfers = observe([*rest, *following.messages])
        assert not any(is_sound(t) for t in transfers[:-1])
        assert_next_is_right(transfers, following, len(rest) + 1)


@pytest.mark.parametrize("following", NEXT, ids=label)
@pytest.mark.parametrize("talk", SMALL, ids=label)
def test_a_client_that_begins_anew_without_an_abort(talk, following):
    for count in range(1, len(talk.messages)):
        left, *_, _ = transfers = observe([*talk.messages[:count], *following.messages])
        assert left.outcome is (Outcome.UNANSWERED if count == 1 else Outcome.INCOMPLETE)
        assert left.cut_by == "next-request"
        assert (left.frames, left.end_ns) == (list(range(1, count + 1)), 1000 * count)
        assert len(transfers) == 2
        assert_next_is_right(transfers, following, count + 1)


def test_a_client_that_begins_anew_amid_block_data_with_a_server_that_sends_short_frames():
    begun, (ask, (_, answer)) = block("write", payload(50)), expedited("read", b"\1\2", index=0x3001).messages
    _, done = observe([*begun.messages[:4], ask, (SERVER, answer[:6])])
    assert is_sound(done) and list(done.problems) == ["short-frame"]


@pytest.mark.parametrize("talk", SMALL, ids=label)
def test_a_client_that_begins_anew_and_is_refused(talk):
    refused = expedited("read", b"\1", index=0x3001)
    for count in range(1, len(talk.messages)):
        left, transfer = observe([*talk.messages[:count], *aborted(refused, 1, SERVER)])
        assert left.outcome is (Outcome.UNANSWERED if count == 1 else Outcome.INCOMPLETE)
        assert (transfer.outcome, transfer.index) == (Outcome.ABORTED, 0x3001)
        assert transfer.frames == [count + 1, count + 2] and not transfer.problems


def test_a_second_request_before_the_answer_and_then_both_answers():
    first, second = expedited("read", b"\1\2"), expedited("read", b"\3\4", index=0x3001)
    (ask_1, answer_1), (ask_2, answer_2) = first.messages, second.messages
    unanswered, late, done = observe([ask_1, ask_2, answer_1, answer_2])
    assert (unanswered.outcome, unanswered.cut_by) == (Outcome.UNANSWERED, "next-request")
    assert not unanswered.data, "what comes later does not change what was reported"
    assert is_sound(late) and list(late.problems) == ["late"]
    assert (late.index, bytes(late.data), late.frames) == (INDEX, b"\1\2", [1, 3])
    assert is_sound(done) and (done.index, bytes(done.data), done.frames) == (0x3001, b"\3\4", [2, 4])


@pytest.mark.parametrize("kind", KINDS)
def test_a_late_answer_after_the_client_aborted(kind):
    """The usual timeout: the client gives up with an abort, and the server answers after all."""
    talk = expedited(kind, b"\1\2")
    gone, late = observe([*aborted(talk, 1, CLIENT, 0x0504_0000), talk.messages[1]])
    assert gone.outcome is Outcome.ABORTED
    assert is_sound(late) and list(late.problems) == ["late"]
    assert (late.kind, bytes(late.data)) == (kind, b"\1\2")


def test_a_late_answer_is_used_once():
    first, second = expedited("read", b"\1\2"), expedited("read", b"\3\4", index=0x3001)
    (ask_1, answer_1), (ask_2, answer_2) = first.messages, second.messages
    *_, again = observe([ask_1, ask_2, answer_1, answer_2, answer_1])
    assert (again.outcome, list(again.problems)) == (Outcome.STRAY, ["not-asked"])


@pytest.mark.parametrize("protocol", [segmented, block], ids=["segmented", "block"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_late_answer_that_would_begin_a_longer_transfer(kind, protocol):
    talk = protocol(kind, payload(30))
    following = expedited("read", b"\3\4", index=0x3001)
    unanswered, late, done = observe([talk.messages[0], following.messages[0], talk.messages[1], following.messages[1]])
    assert unanswered.outcome is Outcome.UNANSWERED
    assert (late.outcome, late.frames) == (Outcome.INCOMPLETE, [1, 3])
    assert is_sound(done) and bytes(done.data) == b"\3\4"


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_to_another_object_is_not_taken(kind):
    ask, _ = expedited(kind, b"\1\2").messages
    _, other = expedited(kind, b"\1\2", subindex=SUBINDEX + 1).messages
    stray, unanswered = observe([ask, other])
    assert (stray.outcome, list(stray.problems)) == (Outcome.STRAY, ["not-asked"])
    assert (stray.index, stray.subindex) == (INDEX, SUBINDEX + 1)
    assert unanswered.outcome is Outcome.UNANSWERED and unanswered.frames == [1]
    assert f"{INDEX:04X}:{SUBINDEX:02X} was asked" in stray.problems["not-asked"]


def test_the_answer_of_a_write_is_none_of_a_read():
    read, write = expedited("read", b"\1"), expedited("write", b"\1")
    stray, unanswered = observe([read.messages[0], write.messages[1]])
    assert stray.outcome is Outcome.STRAY and unanswered.outcome is Outcome.UNANSWERED


def test_the_second_acknowledge_of_a_repeated_write_does_not_bring_the_first_value_back():
    """Whichever answer belongs to which request: the device was told the second value last."""
    first, second = expedited("write", b"\6"), expedited("write", b"\7")
    transfers = observe([first.messages[0], second.messages[0], first.messages[1], second.messages[1]])
    assert [bytes(t.data) for t in transfers if is_sound(t)][-1:] == [b"\7"]


def test_a_transfer_in_the_middle_of_the_capture_is_one_report_of_strays():
    talk = segmented("read", payload(30))
    stray, done = observe([*talk.messages[3:], *NEXT[0].messages])
    assert (stray.outcome, list(stray.problems)) == (Outcome.STRAY, ["start-missing"])
    assert stray.frames == list(range(1, len(talk.messages) - 2))
    assert is_sound(done)


@pytest.mark.parametrize("from_client", [True, False], ids=["client", "server"])
@pytest.mark.parametrize("data", [b"", b"\xff" + bytes(7), b"\x80\0\0\0", b"\xa0\0\x20\0\0\0\0\0"], ids=bytes.hex)
def test_what_is_no_sdo_message(data, from_client):
    talk = NEXT[0]
    malformed, done = observe([(from_client, data), *talk.messages])
    assert malformed.outcome is Outcome.MALFORMED and malformed.problems["malformed"]
    assert malformed.kind == "" and malformed.frames == [1]
    assert is_sound(done)


# --- one frame missing, twice, or different ------------------------------------------------------------------------


def undetectable(talk, position, byte):
    """Where SDO itself has no way to tell that this byte was changed on its way, so that nobody could notice.

    (CAN has its own CRC, so a changed byte means a broken peer, adapter or log.)
    """
    if position == talk.carrier and byte == 0:
        return True  # "expedited, 2 bytes" and "segmented, the size follows" differ in bits that nothing protects
    if talk.protocol == "expedited":
        return position == talk.carrier and byte >= 4
    if talk.protocol == "segmented":
        return talk.is_data(position) and (byte > 0 or not talk.announced)  # no checksum; maybe no size either
    if talk.crc:
        return False
    if talk.is_data(position):
        if byte > 0:
            return True
        return not talk.announced and talk.messages[position + 1][0] != talk.messages[position][0]  # "last" too early
    is_end = position == len(talk.messages) - 2
    is_ack = position > 3 and not is_end
    return not talk.announced and ((is_end and byte == 0) or (is_ack and byte == 1))  # padding; how much arrived


@pytest.mark.parametrize(
    ("talk", "position", "byte", "flip"),
    [
        (expedited("read", payload(2)), 1, 4, 0x01),  # a data byte
        (expedited("read", payload(2)), 1, 0, 0x04),  # "1 byte" instead of "2 bytes"
        (segmented("write", payload(21)), 2, 1, 0x01),  # a data byte
        (segmented("write", payload(21)), 0, 0, 0x02),  # "expedited" instead of "segmented"
        (segmented("read", payload(21), announced=False), 3, 0, 0x01),  # "last" too early
        (segmented("read", payload(20), announced=False), 7, 0, 0x02),  # number of unused bytes
        (block("read", payload(50), 4, crc=False), 3, 1, 0x01),  # a data byte
        (block("read", payload(50), 4, crc=False, announced=False), 6, 0, 0x80),  # "last" at the end of a sub-block
        (block("read", payload(50), 4, crc=False, announced=False), 7, 1, 0x07),  # "3 have arrived" instead of 4
        (block("read", payload(50), 4, crc=False, announced=False), -2, 0, 0x04),  # number of unused bytes
    ],
    ids=lambda value: label(value) or str(value),
)
def test_what_nobody_can_detect(talk, position, byte, flip):
    """These are the cases of `undetectable`: the value is wrong, and nothing in the protocol says so."""
    position %= len(talk.messages)
    assert undetectable(talk, position, byte)
    from_client, data = talk.messages[position]
    changed = bytes([*data[:byte], data[byte] ^ flip, *data[byte + 1 :]])
    transfers = observe([*talk.messages[:position], (from_client, changed), *talk.messages[position + 1 :]])
    (wrong,) = filter(is_sound, transfers)
    assert bytes(wrong.data) != talk.data


def assert_no_wrong_value(transfers, talk):
    for transfer in transfers:
        if is_sound(transfer):
            assert bytes(transfer.data) == talk.data
            assert (transfer.kind, transfer.index, transfer.subindex) == (talk.kind, talk.index, talk.subindex)


@pytest.mark.parametrize("talk", SMALL, ids=label)
def test_one_frame_missing(talk):
    for position in range(len(talk.messages)):
        mutilated = [*talk.messages[:position], *talk.messages[position + 1 :]]
        for following in NEXT:
            transfers = observe([*mutilated, *following.messages])
            assert_no_wrong_value(transfers[:-1], talk)
            assert_next_is_right(transfers, following, len(mutilated) + 1)
        if position == talk.carrier or talk.is_data(position):
            repeated = any("block-repeated" in t.problems for t in transfers)
            assert repeated or not any(map(is_sound, transfers[:-1])), "data are missing and nobody noticed"


@pytest.mark.parametrize("talk", SMALL, ids=label)
def test_one_frame_twice(talk):
    for position in range(len(talk.messages)):
        doubled = [*talk.messages[: position + 1], *talk.messages[position:]]
        for following in NEXT:
            transfers = observe([*doubled, *following.messages])
            assert_no_wrong_value(transfers[:-1], talk)
            assert_next_is_right(transfers, following, len(doubled) + 1)


@pytest.mark.parametrize("talk", SMALL, ids=label)
def test_one_byte_different(talk):
    following = NEXT[0]
    for position, (from_client, data) in enumerate(talk.messages):
        for byte in range(8):
            for flip in (0x01, 0x02, 0x10, 0x20, 0x40, 0x80, 0xFF):
                changed = bytes([*data[:byte], data[byte] ^ flip, *data[byte + 1 :]])
                messages = [*talk.messages[:position], (from_client, changed), *talk.messages[position + 1 :]]
                transfers = observe([*messages, *following.messages])
                if not undetectable(talk, position, byte):
                    assert_no_wrong_value(transfers[:-1], talk)
                assert_next_is_right(transfers, following, len(messages) + 1)


@given(talks(index=0x2ABC), st.data())
def test_several_frames_missing_twice_or_different(talk, data):
    """Any damage: never an exception, and the observer finds its feet again."""
    messages = list(talk.messages)
    for _ in range(data.draw(st.integers(1, 4), "damages")):
        if not messages:
            break
        at = data.draw(st.integers(0, len(messages) - 1), "at")
        how = data.draw(st.sampled_from(["drop", "double", "change", "cut"]), "how")
        from_client, raw = messages[at]
        if how == "drop":
            del messages[at]
        elif how == "double":
            messages.insert(at, messages[at])
        elif how == "cut":
            messages[at] = from_client, raw[: data.draw(st.integers(0, 7), "length")]
        else:
            messages[at] = from_client, data.draw(st.binary(min_size=8, max_size=8), "bytes")
    following = data.draw(st.sampled_from(NEXT), "following")
    assert_next_is_right(observe([*messages, *following.messages]), following, len(messages) + 1)


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=9)), max_size=40))
def test_noise_never_raises_and_no_frame_is_forgotten(messages):
    transfers = observe(messages)
    seen = {number for transfer in transfers for number in transfer.frames}
    assert seen == set(range(1, len(messages) + 1))
    assert all(t.outcome is Outcome.DONE or t.abort or t.cut_by or t.problems for t in transfers)


# --- what the flags say --------------------------------------------------------------------------------------------


def test_a_size_that_does_not_hold():
    talk = segmented("read", payload(20))
    wrong = [talk.messages[0], (SERVER, sdo.UploadInitiated(INDEX, SUBINDEX, size=21).encode()), *talk.messages[2:]]
    transfer = only(wrong)
    assert transfer.doubtful and transfer.problems == {"size-mismatch": "21 bytes announced, 20 transferred"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_checksum_that_does_not_hold(kind):
    talk = block(kind, payload(20))
    at = len(talk.messages) - 2
    end = sdo_block.BlockEnd(1, 0x1234)
    transfer = only([*talk.messages[:at], (talk.messages[at][0], end.encode()), talk.messages[-1]])
    assert transfer.doubtful and list(transfer.problems) == ["crc-error"]


@pytest.mark.parametrize(
    ("kind", "missing", "flag"),
    [
        ("read", 3, "toggle-error"),
        ("write", 2, "segment-missing"),
        ("write", 3, "segment-ack-missing"),
    ],
)
def test_what_is_missing_has_a_name_in_a_segmented_transfer(kind, missing, flag):
    talk = segmented(kind, payload(20), announced=False)
    transfer = only([*talk.messages[:missing], *talk.messages[missing + 1 :]])
    assert transfer.outcome is Outcome.DONE and transfer.doubtful
    assert flag in transfer.problems


@pytest.mark.parametrize(("kind", "position"), [("read", 2), ("read", 3), ("read", 4), ("write", 2), ("write", 3)])
def test_a_toggle_bit_that_does_not_alternate(kind, position):
    """In the request of a segment, in a segment and in its acknowledge."""
    talk = segmented(kind, payload(20))
    from_client, data = talk.messages[position]
    flipped = bytes([data[0] ^ 0x10]) + data[1:]
    transfer = observe([*talk.messages[:position], (from_client, flipped), *talk.messages[position + 1 :]])[0]
    assert transfer.doubtful and "toggle-error" in transfer.problems


@pytest.mark.parametrize(
    ("kind", "missing", "flag"),
    [
        ("write", 3, "block-segment-missing"),
        ("read", 4, "block-segment-missing"),
        ("write", 6, "block-ack-missing"),
        ("read", 7, "block-ack-missing"),
        ("write", -3, "block-ack-missing"),
        ("read", -3, "block-ack-missing"),
    ],
)
def test_what_is_missing_has_a_name_in_a_block_transfer(kind, missing, flag):
    talk = block(kind, payload(50), 4, announced=False)
    at = missing % len(talk.messages)
    transfer = only([*talk.messages[:at], *talk.messages[at + 1 :]])
    assert transfer.outcome is Outcome.DONE and transfer.doubtful
    assert flag in transfer.problems


def test_more_segments_than_the_receiver_wanted():
    talk = block("write", payload(50), 4)
    smaller = [talk.messages[0], (SERVER, sdo_block.BlockDownloadInitiated(INDEX, SUBINDEX, 3).encode())]
    transfer = only([*smaller, *talk.messages[2:]])
    assert transfer.doubtful and "block-sequence" in transfer.problems


def test_segments_behind_the_last_one():
    talk = block("write", payload(28), 4, crc=False, announced=False)
    from_client, data = talk.messages[3]
    transfer = only([*talk.messages[:3], (from_client, bytes([0x80 | data[0]]) + data[1:]), *talk.messages[4:]])
    assert transfer.doubtful and "block-sequence" in transfer.problems


def test_only_block_data_look_like_anything():
    observer = SdoObserver()
    talk = block("write", payload(8))
    assert not observer.expects_data(CLIENT, talk.messages[0][1])
    for number, (from_client, data) in enumerate(talk.messages[:2], 1):
        observer.feed(from_client, data, number, None)
    assert observer.expects_data(CLIENT, talk.messages[2][1])
    assert not observer.expects_data(SERVER, talk.messages[2][1])
    assert not observer.expects_data(CLIENT, sdo.Abort(INDEX, SUBINDEX, 0).encode())
    assert not observer.expects_data(CLIENT, b"")
