"""When a TPDO is sent: every transmission type, and every input that could make it send too often or too seldom."""

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from pdo_bench import NO_RTR, OFF, TPDO, Device

from opendiag.frame import Frame
from opendiag.services.pdo_parameters import AT_SYNC, EVENT_DRIVEN, PdoParameters
from opendiag.services.pdo_producer import TPdo
from opendiag.wire.cob_id import CobId
from opendiag.wire.pdo import MappingEntry

BYTE, WORD = (0x2005, 8), (0x2006, 16)


def device(kind, entries=(BYTE,), can_id=TPDO, **more):
    made = Device()
    made.map(True, 1, can_id, kind, entries, **more)
    return made


@pytest.mark.parametrize("kind", [254, 255])
def test_event_driven_starts_with_a_frame_and_then_tells_changes(kind):
    made = device(kind)
    assert made.start() == ["00"]
    assert made.run(1.0) == []
    made.change(0x2005, 7)
    assert made.run(0.02) == ["07"]
    assert made.sent == [(0.0, TPDO, "00"), (1.01, TPDO, "07")]


def test_inhibit_time_gathers_changes_and_sends_the_latest():
    made = device(255, inhibit=1000)
    made.start()
    for value in range(1, 5):
        made.change(0x2005, value)
        made.run(0.02)
    assert made.run(0.1) == ["04"]
    assert [time for time, _, _ in made.sent] == [0.0, 0.1]


def test_event_timer_repeats_and_is_begun_again_by_each_frame():
    made = device(255, event=50)
    made.start()
    made.run(0.12)
    made.change(0x2005, 1)
    made.run(0.08)
    assert [time for time, _, _ in made.sent] == pytest.approx([0.0, 0.05, 0.1, 0.13, 0.18])


def test_an_event_timer_below_the_inhibit_time_waits_for_it():
    made = device(255, event=10, inhibit=300)
    made.start()
    made.run(0.1)
    assert [time for time, _, _ in made.sent] == pytest.approx([0.0, 0.03, 0.06, 0.09])


@pytest.mark.parametrize("kind", [1, 2, 3, 240])
def test_cyclic_is_sent_with_every_nth_sync_and_with_nothing_else(kind):
    made = device(kind, event=10)
    assert made.start() == []
    sent = [number for number in range(1, 481) if made.sync()]
    assert sent == list(range(kind, 481, kind))
    made.change(0x2005, 1)
    assert made.run(1.0) == [] and made.ask() == []


@pytest.mark.parametrize(("kind", "start", "sent"), [(1, 3, [3, 4, 5, 1, 2, 3]), (2, 3, [4, 1, 3]), (3, 2, [4, 2])])
def test_sync_start_value_is_the_first_to_be_counted(kind, start, sent):
    """With 1019h = 5 the counter goes 1..5 over and over."""
    made = device(kind, start=start)
    made.start()
    counters = [counter for counter in itertools.islice(itertools.cycle([1, 2, 3, 4, 5]), 8) if made.sync(counter)]
    assert counters == sent


def test_sync_start_value_means_nothing_where_sync_has_no_counter():
    made = device(2, start=3)
    made.start()
    assert [bool(made.sync()) for _ in range(4)] == [False, True, False, True]


def test_type_0_waits_for_an_event_and_a_sync():
    made = device(0)
    assert made.start() == [] and made.run(1.0) == []
    assert made.sync() == ["00"]
    assert made.sync() == []
    made.change(0x2005, 9)
    assert made.run(1.0) == []
    assert made.sync() == ["09"]
    made.pdos.trigger(1, made.now)
    assert made.run(1.0) == []
    assert made.sync() == ["09"] and made.sync() == []


def test_type_252_is_sampled_at_sync_and_sent_on_request():
    made = device(252)
    made.start()
    assert made.ask() == [], "no SYNC has sampled it yet"
    assert made.sync() == []
    made.change(0x2005, 9)
    assert made.ask() == ["00"]
    assert made.ask() == ["00"]
    made.sync()
    assert made.ask() == ["09"]
    assert made.run(1.0) == []
    assert made.pdos.tpdos[0].requests_refused == 1


def test_type_253_is_sampled_when_asked_for():
    made = device(253)
    assert made.start() == [] and made.sync() == []
    made.change(0x2005, 9)
    assert made.run(1.0) == []
    assert made.ask() == ["09"] and made.ask() == ["09"]


def test_an_event_driven_one_answers_as_soon_as_its_inhibit_time_allows():
    made = device(255, inhibit=1000)
    made.start()
    made.run(0.05)
    assert made.ask() == []
    assert made.run(0.1) == ["00"]
    assert [time for time, _, _ in made.sent] == [0.0, 0.1]


@pytest.mark.parametrize("kind", [0, 1, 240, 252, 253, 254, 255])
def test_bit_30_forbids_remote_frames(kind):
    made = device(kind, can_id=TPDO | NO_RTR)
    made.start()
    made.sync()
    assert made.ask() == []
    assert made.pdos.tpdos[0].requests_refused == 1


@pytest.mark.parametrize("more", [{"can_id": TPDO + 1}, {"can_id": TPDO, "extended": True}])
def test_a_remote_frame_for_somebody_else_is_none(more):
    made = device(253)
    made.start()
    assert made.ask(**more) == []
    assert made.pdos.tpdos[0].requests_refused == 0


def test_29_bits():
    made = device(253, can_id=0x185 | 1 << 29)
    made.start()
    assert made.ask(0x185) == []
    made.pdos.receive(Frame(0x185, extended=True, remote=True), made.now)
    (frame,) = made.pdos.poll(made.now)
    assert frame == Frame(0x185, b"\0", extended=True)


@pytest.mark.parametrize("kind", range(241, 252))
def test_reserved_types_are_never_sent(kind):
    made = device(kind, event=10)
    assert made.start() == [] and made.sync() == [] and made.ask() == [] and made.run(1.0) == []


@pytest.mark.parametrize("kind", [0, 1, 252, 253, 255])
@pytest.mark.parametrize(("can_id", "entries"), [(TPDO | OFF, [BYTE]), (TPDO, [])])
def test_switched_off_or_empty_nothing_is_sent(kind, can_id, entries):
    made = device(kind, entries, can_id, event=10)
    assert made.start() == [] and made.sync() == [] and made.ask() == [] and made.run(1.0) == []


def test_outside_of_operational_nothing_is_sent():
    made = device(255, event=10)
    assert made.run(1.0) == [] and made.ask() == []
    made.start()
    made.pdos.stop()
    made.change(0x2005, 3)
    made.pdos.trigger(1, made.now)
    assert made.run(1.0) == [] and made.ask() == [] and made.sync() == []
    assert made.start() == ["03"]


def test_other_parameters_do_not_shorten_the_inhibit_time():
    made = device(255, inhibit=1000)
    made.start()
    made.run(0.03)
    made.write(0x1800, 5, 20)
    assert made.run(0.1) == ["00"]
    made.write(0x1800, 1, TPDO | OFF)
    made.write(0x1800, 1, TPDO)
    assert made.run(0.15) == ["00"]
    assert [time for time, _, _ in made.sent] == pytest.approx([0.0, 0.1, 0.2])


def test_golden_bytes_of_a_mixed_mapping():
    made = device(1, [(0x2001, 1), (0x2001, 8), (0x2002, 8), (0x2003, 16), (0x200C, 8)])
    made.set((0x2001, 0, True), (0x2002, 0, -2), (0x2003, 0, -1))
    made.start()
    # 1 | 1<<1 | FE<<9 | FFFF<<17
    assert made.sync() == [((1 | 1 << 1 | 0xFE << 9 | 0xFFFF << 17).to_bytes(6, "little")).hex()]


def test_an_object_that_cannot_be_read_is_zero():
    made = device(1, [(0x2102, 8), (0x2005, 8), (0x2F00, 8)])
    made.set((0x2102, 0, 9), (0x2005, 0, 7))
    made.start()
    assert made.sync() == ["000700"]


class AnyProducer(RuleBasedStateMachine):
    """Anything may happen in any order. What is sent is checked against what may be sent."""

    @initialize(
        kind=st.sampled_from([0, 1, 2, 3, 240, 241, 251, 252, 253, 254, 255]),
        inhibit_ms=st.integers(0, 50),
        event_ms=st.sampled_from([0, 1, 10, 100]),
        start=st.integers(0, 4),
        bits=st.sampled_from([0, OFF, NO_RTR]),
    )
    def begin(self, kind, inhibit_ms, event_ms, start, bits):
        self.now, self.data, self.sent, self.syncs, self.asked = 0.0, 0, [], None, False
        self.changed, self.latched = False, None
        self.parameters = PdoParameters(
            True,
            1,
            CobId.decode(TPDO | bits),
            kind,
            inhibit_ms / 1000,
            event_ms / 1000,
            start,
            (MappingEntry(0x2005, 0, 8),),
        )
        self.machine = TPdo(self.parameters, lambda now: bytes([self.data]), 0.01)

    def _frames(self):
        return self.machine.frames_to_send()

    def _note(self, frames):
        for frame in frames:
            assert self.machine.running, "a TPDO outside OPERATIONAL"
            assert not self.parameters.cob.bit_31, "a TPDO that is switched off"
            assert self.parameters.transmission_type not in range(241, 252), "a reserved type"
            assert (frame.can_id, frame.extended, frame.remote, len(frame.data)) == (TPDO, False, False, 1)
            if self.parameters.transmission_type in EVENT_DRIVEN and self.sent:
                assert self.now >= self.sent[-1] + self.parameters.inhibit_s - 1e-9, "inside the inhibit time"
            self.sent.append(self.now)
        return frames

    @rule()
    def start(self):
        self.machine.start()
        self.syncs, self.latched, self.last = None, None, None
        self.machine.tick(self.now)
        self._note(self._frames())

    @rule()
    def stop(self):
        self.machine.stop()
        assert self._frames() == []

    @rule(value=st.integers(0, 255))
    def change(self, value):
        self.data = value

    @rule(ms=st.integers(1, 200))
    def wait(self, ms):
        end = self.now + ms / 1000
        while (due := self.machine.deadline()) is not None and due <= end:
            before = due
            self.now = max(self.now, due)
            self.machine.tick(self.now)
            frames = self._note(self._frames())
            assert self.parameters.transmission_type in EVENT_DRIVEN or not frames
            later = self.machine.deadline()
            assert later is None or later > before or later > self.now, "a deadline that does not pass"
        self.now = end
        self.machine.tick(end)
        self._note(self._frames())

    @rule(counter=st.none() | st.integers(1, 4))
    def sync(self, counter):
        kind, live = self.parameters.transmission_type, self.machine.running and not self.parameters.cob.bit_31
        self.machine.sync(self.now, counter)
        frames = self._note(self._frames())
        if not live or kind not in AT_SYNC:
            if live and kind == 252:
                self.latched = self.data
            assert frames == []
            return
        if self.syncs is None:
            if self.parameters.sync_start and counter is not None and counter != self.parameters.sync_start:
                assert frames == []
                return
            self.syncs = 0
        self.syncs += 1
        if kind:
            assert bool(frames) == (self.syncs % kind == 0), "not exactly every n-th SYNC"
        else:
            assert bool(frames) == (self.last != self.data)
            self.last = self.data
        if frames:
            assert frames[0].data == bytes([self.data])

    @rule()
    def ask(self):
        kind, live = self.parameters.transmission_type, self.machine.running and not self.parameters.cob.bit_31
        self.machine.receive(Frame(TPDO, remote=True), self.now)
        frames = self._note(self._frames())
        if not live or self.parameters.cob.bit_30 or kind in AT_SYNC:
            assert frames == []
        elif kind == 253:
            assert [frame.data for frame in frames] == [bytes([self.data])]
        elif kind == 252:
            assert [frame.data for frame in frames] == ([] if self.latched is None else [bytes([self.latched])])

    @rule()
    def other_frames(self):
        for frame in (Frame(TPDO, b"\1"), Frame(TPDO + 1, remote=True), Frame(TPDO, extended=True, remote=True)):
            self.machine.receive(frame, self.now)
        assert self._frames() == []

    @invariant()
    def nothing_is_left_over(self):
        if hasattr(self, "machine"):
            assert self.machine.events() == [] and self._frames() == []


TestAnyProducer = AnyProducer.TestCase
TestAnyProducer.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
