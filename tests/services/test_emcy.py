"""EMCY, both ends on one wire: what is reported arrives, with its text; nothing is lost in silence."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from machine_bench import Wire, frame

from opendiag.dictionary.tables.error_codes import SERVOTRONIX
from opendiag.errors import WireError
from opendiag.frame import Frame
from opendiag.services.emcy import EmcyConsumer, EmcyProducer, EmcyReceived, emcy_text
from opendiag.wire.cob_id import CobId
from opendiag.wire.emcy import Emcy, ErrorEntry

NODE = 5
COB_ID = 0x80 + NODE


def pair(**more):
    producer, consumer = EmcyProducer(COB_ID, **more), EmcyConsumer()
    return Wire(producer, consumer), producer, consumer


def texts(consumer):
    return [f"{event.emcy.code:04X}" for event in consumer.active(NODE)]


# --- both ends ------------------------------------------------------------------------------------------------------


def test_golden_bytes_both_ways():
    wire, producer, consumer = pair()
    producer.report(0x3120, 0x05, b"\x01\x02", 0.0)
    wire.run(0.0)
    assert wire.lines() == [(0.0, "085#2031050102000000")]
    assert wire.told(consumer) == [
        EmcyReceived(
            NODE,
            0.0,
            Emcy(0x3120, 5, b"\1\2\0\0\0"),
            "mains under-voltage",
            True,
            bytes.fromhex("2031050102000000"),
        )
    ]
    producer.report(0, 0, b"", 1.0)
    wire.run(1.0)
    assert wire.lines()[1][1] == "085#0000000000000000"
    assert wire.told(consumer)[0].is_reset


def test_the_inhibit_time_keeps_messages_apart_and_in_order():
    wire, producer, _ = pair(inhibit_s=0.1)
    for code in (0x1001, 0x1002, 0x1003):
        producer.report(code, 1, b"", 0.0)
    wire.run(1.0)
    assert wire.lines() == [
        (0.0, "085#0110010000000000"),
        (0.1, "085#0210010000000000"),
        (0.2, "085#0310010000000000"),
    ]
    assert producer.deadline() is None


def test_register_and_history_newest_first():
    producer = EmcyProducer(COB_ID, slots=3)
    for number in range(1, 6):
        producer.report(0x1000 + number, number, bytes([number, 1]), 0.0)
    producer.report(0, 0, b"", 0.0)
    assert producer.register == 0
    assert list(producer.history) == [ErrorEntry(0x1000 + number, 0x100 + number) for number in (5, 4, 3)]


def test_a_node_that_may_not_says_nothing_and_counts_it():
    for forbidden in ("allowed", "cob"):
        producer = EmcyProducer(COB_ID)
        setattr(producer, forbidden, False if forbidden == "allowed" else CobId(COB_ID, bit_31=True))
        producer.report(0x1000, 1, b"", 0.0)
        assert (producer.frames_to_send(), producer.dropped, producer.deadline()) == ([], 1, None)
        assert (producer.register, len(producer.history)) == (1, 1)


def test_the_queue_is_bounded_and_what_falls_out_is_counted():
    producer = EmcyProducer(COB_ID, inhibit_s=1.0)
    for _ in range(1000):
        producer.report(0x1000, 1, b"", 0.0)
    assert producer.dropped == 1000 - 1 - 256
    producer.reset()
    assert producer.deadline() is None and producer.register == 1


def test_a_code_that_does_not_fit_is_refused():
    with pytest.raises(WireError, match="error code 65536"):
        EmcyProducer(COB_ID).report(0x10000, 1, b"", 0.0)


# --- the consumer ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "emcy", "text"),
    [
        ("203105", Emcy(0x3120, 5), "mains under-voltage (3 of 8 bytes)"),
        ("2031", Emcy(0x3120, 0), "mains under-voltage (2 of 8 bytes)"),
        ("20310501020304", Emcy(0x3120, 5, b"\1\2\3\4\0"), "mains under-voltage (7 of 8 bytes)"),
        ("20", None, "no error code (1 of 8 bytes)"),
    ],
)
def test_a_short_emcy_is_kept_and_told(data, emcy, text):
    consumer = EmcyConsumer()
    consumer.receive(frame(f"085#{data}"), 1.0)
    told = EmcyReceived(NODE, 1.0, emcy, text, False, bytes.fromhex(data))
    assert consumer.events() == [told]
    assert list(consumer.received[NODE]) == [told]
    assert consumer.active(NODE) == ([] if emcy is None else [told])


def test_an_empty_frame_is_a_boot_up_of_old_and_no_emcy():
    consumer = EmcyConsumer()
    consumer.receive(frame("085#2031050000000000"), 0.0)
    consumer.events()
    consumer.receive(Frame(COB_ID), 1.0)
    assert (consumer.events(), consumer.active(NODE)) == ([], [])


def test_an_empty_frame_on_a_configured_cob_id_is_a_short_emcy():
    consumer = EmcyConsumer()
    consumer.move(NODE, 0x123)
    consumer.receive(Frame(0x123), 1.0)
    (event,) = consumer.events()
    assert (event.emcy, event.complete, event.text) == (None, False, "no error code (0 of 8 bytes)")


@pytest.mark.parametrize(("cob_id", "can_id", "extended"), [(0x123, 0x123, False), (0x2000_0085, 0x85, True)])
def test_the_cob_id_of_1014h_is_honoured(cob_id, can_id, extended):
    consumer = EmcyConsumer()
    consumer.move(NODE, cob_id)
    consumer.receive(frame("085#2031050000000000"), 0.0)
    assert consumer.events() == []
    consumer.receive(Frame(can_id, bytes.fromhex("2031050000000000"), extended=extended), 0.0)
    assert [event.node_id for event in consumer.events()] == [NODE]
    consumer.move(NODE, CobId(COB_ID))
    consumer.receive(frame("085#2031050000000000"), 0.0)
    assert [event.node_id for event in consumer.events()] == [NODE]


def test_a_cob_id_that_is_not_valid_carries_no_emcy():
    consumer = EmcyConsumer()
    consumer.move(NODE, 0x8000_0085)
    consumer.receive(frame("085#2031050000000000"), 0.0)
    assert consumer.events() == []


def test_the_log_is_bounded_and_says_what_it_no_longer_holds():
    consumer = EmcyConsumer(keep=10)
    for number in range(11_000):
        consumer.receive(frame(f"085#{number % 256:02X}10010000000000"), float(number))
    assert [event.at for event in consumer.received[NODE]] == [float(number) for number in range(10_990, 11_000)]
    assert (consumer.counts[NODE], consumer.overwritten) == (11_000, 10_990)
    assert len(consumer.events()) == 10_000
    consumer.clear(NODE)
    assert (consumer.received, consumer.counts[NODE], consumer.overwritten) == ({}, 0, 0)
    assert consumer.active(NODE) == []


def test_texts_are_those_of_the_profile_and_the_vendor():
    consumer = EmcyConsumer()
    for facts, text in (
        ((), "mains under-voltage"),
        ((401,), "mains voltage"),
        ((402,), "mains under-voltage"),
        ((402, SERVOTRONIX), "under-voltage"),
    ):
        consumer.identify(NODE, *facts)
        consumer.receive(frame("085#2031050000000000"), 0.0)
        assert [event.text for event in consumer.events()] == [text]
        assert emcy_text(0x3120, *facts) == text


def test_active_errors_are_those_not_taken_back():
    consumer = EmcyConsumer()
    for code, register in (("2031", "05"), ("1043", "0D"), ("2031", "0D")):
        consumer.receive(frame(f"085#{code}{register}0000000000"), 0.0)
    assert texts(consumer) == ["4310", "3120"]
    consumer.receive(frame("085#0000090000000000"), 0.0)
    assert texts(consumer) == ["4310"], "voltage is right again, temperature is not"
    consumer.receive(frame("085#0000000000000000"), 0.0)
    assert texts(consumer) == []


@pytest.mark.parametrize("boot_up", ["705#00", "085#"])
def test_a_boot_up_takes_back_all(boot_up):
    consumer = EmcyConsumer()
    consumer.receive(frame("085#2031050000000000"), 0.0)
    consumer.receive(frame("706#00"), 0.0)
    consumer.receive(frame("705#05"), 0.0)
    assert texts(consumer) == ["3120"]
    consumer.receive(frame(boot_up), 1.0)
    assert texts(consumer) == []
    assert len(consumer.received[NODE]) == 1


def test_a_code_of_one_byte_resets_nothing():
    consumer = EmcyConsumer()
    consumer.receive(frame("085#2031050000000000"), 0.0)
    consumer.receive(frame("085#00"), 0.0)
    assert texts(consumer) == ["3120"]


@pytest.mark.parametrize(
    "other",
    [
        Frame(0x80, bytes(8)),
        Frame(0x100, bytes(8)),
        Frame(COB_ID, bytes(8), extended=True),
        Frame(COB_ID, bytes(8), fd=True),
        Frame(COB_ID, bytes(8), error=True),
        Frame(COB_ID, remote=True, dlc=8),
    ],
    ids=repr,
)
def test_other_frames_are_no_emcy(other):
    consumer = EmcyConsumer()
    consumer.receive(other, 0.0)
    assert consumer.events() == []


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFF), st.binary(max_size=9), st.integers(1, 127))
def test_what_is_reported_arrives(code, register, data, node_id):
    producer, consumer = EmcyProducer(0x80 + node_id), EmcyConsumer()
    wire = Wire(producer, consumer)
    producer.report(code, register, data, 0.0)
    wire.run(0.0)
    (event,) = wire.told(consumer)
    assert (event.node_id, event.complete, event.text) == (node_id, True, emcy_text(code))
    assert event.emcy == Emcy(code, register, data.ljust(5, b"\0")[:5])


class AnyErrors(RuleBasedStateMachine):
    """Whatever is reported whenever: all of it is sent in order or counted, never closer than the inhibit time."""

    @initialize(inhibit_s=st.sampled_from([0.0, 0.25]))
    def begin(self, inhibit_s):
        self.now, self.inhibit_s = 0.0, inhibit_s
        self.producer = EmcyProducer(COB_ID, inhibit_s, slots=4)
        self.reported, self.sent, self.history = [], [], []

    @rule(code=st.sampled_from([0, 0x1000, 0x3120]), register=st.integers(0, 255))
    def report(self, code, register):
        self.producer.report(code, register, b"", self.now)
        self.reported.append(Emcy(code, register))
        if code:
            self.history = [ErrorEntry(code), *self.history][:4]
        assert self.producer.register == register

    @rule(allowed=st.booleans())
    def allow(self, allowed):
        self.producer.allowed = allowed

    @rule(seconds=st.sampled_from([0.0, 1 / 8, 1 / 4, 1.0]))
    def wait(self, seconds):
        self.now += seconds
        self.producer.tick(self.now)

    @invariant()
    def all_is_accounted_for(self):
        self.sent += [(self.now, Emcy.decode(one.data)) for one in self.producer.frames_to_send()]
        assert list(self.producer.history) == self.history
        waiting = len(self.reported) - len(self.sent) - self.producer.dropped
        assert waiting >= 0 and (waiting > 0) == (self.producer.deadline() is not None)
        order = iter(self.reported)
        assert all(emcy in order for _, emcy in self.sent), "in the order of the reports"
        gaps = [b[0] - a[0] for a, b in zip(self.sent, self.sent[1:], strict=False)]
        assert all(gap >= self.inhibit_s for gap in gaps)


AnyErrors.TestCase.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
TestAnyErrors = AnyErrors.TestCase
