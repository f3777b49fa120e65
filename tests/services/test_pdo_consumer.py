"""What a received PDO does: at once or at SYNC, too short, too long, too late, and on the wrong one."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from pdo_bench import OFF, RPDO, Device

from opendiag.frame import Frame
from opendiag.services.pdo_consumer import PdoError, PdoTrouble, RPdo
from opendiag.services.pdo_parameters import AT_SYNC, EVENT_DRIVEN, PdoParameters
from opendiag.wire.cob_id import CobId
from opendiag.wire.pdo import MappingEntry

SHORT, LONG, LATE = PdoError.TOO_SHORT, PdoError.TOO_LONG, PdoError.TIMED_OUT
BYTE, WORD = (0x2005, 8), (0x2006, 16)


def device(kind=255, entries=(BYTE, WORD), can_id=RPDO, **more):
    made = Device()
    made.map(False, 1, can_id, kind, entries, **more)
    made.start()
    return made


def held(made):
    return made.store.get(0x2005, 0), made.store.get(0x2006, 0)


def told(made):
    """What there was to tell, minus for what is over; and the ends of it forgotten."""
    errors, made.trouble[:] = [-event.error if event.over else +event.error for event in made.trouble], []
    return errors


@pytest.mark.parametrize("kind", [254, 255])
def test_event_driven_acts_at_once(kind):
    made = device(kind)
    made.hear("070201")
    assert held(made) == (7, 0x0102)


@pytest.mark.parametrize("kind", [0, 1, 2, 240])
def test_synchronous_acts_at_the_next_sync_and_the_latest_counts(kind):
    made = device(kind)
    made.hear("070201")
    made.hear("080201")
    made.run(1.0)
    assert held(made) == (0, 0)
    made.sync()
    assert held(made) == (8, 0x0102)
    made.change(0x2005, 1)
    made.sync()
    assert held(made) == (1, 0x0102), "it acts once"


@pytest.mark.parametrize("kind", [*range(241, 254)])
def test_reserved_types_do_nothing(kind):
    made = device(kind)
    made.hear("070201")
    made.sync()
    assert (held(made), made.pdos.rpdos[0].ignored) == ((0, 0), 1)


def test_what_waits_for_a_sync_does_not_outlive_operational():
    made = device(1)
    made.hear("070201")
    made.pdos.stop()
    made.start()
    made.sync()
    assert held(made) == (0, 0)


def test_tpdos_are_sampled_before_received_values_act():
    made = device(1)
    made.map(True, 1, 0x185, 1, [BYTE])
    made.start()
    made.hear("070000")
    assert made.sync() == ["00"]
    assert made.sync() == ["07"]


@pytest.mark.parametrize("data", ["", "07", "0702"])
def test_too_short_is_8210h_and_not_processed(data):
    made = device()
    made.hear("010100")
    made.hear(data)
    assert held(made) == (1, 1)
    assert made.trouble == [PdoTrouble(1, PdoError.TOO_SHORT, 0.0, False, 3, len(data) // 2)]
    assert made.pdos.rpdos[0].ignored == 1


def test_too_long_is_8220h_and_processed():
    made = device()
    made.hear("07020155")
    assert held(made) == (7, 0x0102)
    assert made.trouble == [PdoTrouble(1, PdoError.TOO_LONG, 0.0, False, 3, 4)]


def test_an_error_is_told_when_it_begins_and_when_it_ends():
    made = device()
    for _ in range(3):
        made.hear("07")
    assert told(made) == [SHORT]
    made.hear("070201")
    assert told(made) == [-SHORT]
    made.hear("070201")
    assert told(made) == []
    made.hear("07")
    made.hear("07020155")
    assert told(made) == [SHORT, LONG, -SHORT]
    made.hear("070201")
    assert told(made) == [-LONG]


def test_an_error_outlives_operational_and_ends_with_other_parameters():
    made = device()
    made.hear("07")
    made.pdos.stop()
    made.start()
    made.hear("07")
    assert told(made) == [SHORT]
    made.write(0x1400, 1, RPDO | OFF)
    made.run(0.0)
    assert told(made) == [-SHORT]


def test_padding_to_the_next_byte_is_not_too_long():
    made = device(entries=[(0x2001, 1), (0x2001, 1), (0x2005, 8)])
    made.hear("1dfc")
    assert (made.store.get(0x2001, 0), made.store.get(0x2005, 0), told(made)) == (False, 7, [])


def test_the_deadline_begins_with_the_first_frame():
    made = device(event=100)
    made.run(1.0)
    assert told(made) == []
    made.hear("070201")
    made.run(0.09)
    made.hear("070201")
    made.run(0.09)
    assert told(made) == []
    made.run(0.02)
    (event,) = made.trouble
    assert (event.error, event.at, event.expected, event.seen) == (
        PdoError.TIMED_OUT,
        pytest.approx(1.19),
        0.1,
        pytest.approx(0.1),
    )
    made.run(1.0)
    assert len(made.trouble) == 1, "it is told once"
    made.hear("070201")
    assert told(made) == [LATE, -LATE]
    made.run(0.2)
    assert told(made) == [LATE]


def test_a_frame_that_is_too_short_does_not_meet_the_deadline():
    made = device(event=100)
    made.hear("070201")
    made.run(0.09)
    made.hear("07")
    made.run(0.02)
    assert told(made) == [SHORT, LATE]


def test_the_deadline_rests_outside_of_operational():
    made = device(event=100)
    made.hear("070201")
    made.pdos.stop()
    made.run(1.0)
    made.start()
    made.run(1.0)
    assert told(made) == []


@pytest.mark.parametrize(
    ("can_id", "more"),
    [(RPDO + 1, {}), (RPDO, {"extended": True}), (RPDO, {"fd": True}), (RPDO, {"error": True})],
)
def test_other_frames_are_none(can_id, more):
    made = device()
    made.pdos.receive(Frame(can_id, bytes.fromhex("070201"), **more), 0.0)
    made.pdos.receive(Frame(RPDO, remote=True), 0.0)
    assert (held(made), told(made), made.pdos.rpdos[0].received) == ((0, 0), [], 0)


@pytest.mark.parametrize(("can_id", "entries"), [(RPDO | OFF, [BYTE, WORD]), (RPDO, [])])
def test_switched_off_or_empty_nothing_is_received(can_id, entries):
    made = device(entries=entries, can_id=can_id)
    made.hear("070201")
    assert (held(made), told(made), made.pdos.rpdos[0].received) == ((0, 0), [], 0)


def test_dummies_are_skipped():
    made = device(entries=[(5, 8), BYTE, (1, 3), (0x2001, 1), (0x0004, 4)])
    made.hear("ff07f8")
    assert (made.store.get(0x2005, 0), made.store.get(0x2001, 0), made.pdos.refused) == (7, True, 0)


@pytest.mark.parametrize(
    ("entry", "data", "value"),
    [
        ((0x2001, 8), "01", True),
        ((0x2002, 8), "fe", -2),
        ((0x2002, 4), "0e", -2),
        ((0x2004, 16), "feff", -2),
        ((0x2002, 16), "feff", -2),
        ((0x2007, 16), "feff", 0xFFFE),
        ((0x2008, 32), "0000c03f", 1.5),
        ((0x2009, 32), "61626300", "abc"),
        ((0x200C, 48), "dc0500000100", "1984-01-02T00:00:01.500"),
        ((0x2011, 64), "000000000000f83f", 1.5),
        ((0x201B, 64), "ffffffffffffffff", (1 << 64) - 1),
    ],
)
def test_values_of_every_type(entry, data, value):
    made = device(entries=[entry])
    made.hear(data)
    assert (made.store.get(entry[0], 0), made.pdos.refused) == (value, 0)


@pytest.mark.parametrize(
    ("entry", "data"), [((0x2001, 8), "02"), ((0x2002, 16), "8000"), ((0x2101, 8), "07"), ((0x2F00, 8), "07")]
)
def test_a_value_that_is_refused_keeps_the_old_one_and_its_neighbours_act(entry, data):
    made = device(entries=[entry, BYTE])
    before = made.store.values.get((entry[0], 0))
    made.hear(data + "09")
    assert (made.store.values.get((entry[0], 0)), made.store.get(0x2005, 0), made.pdos.refused) == (before, 9, 1)


def test_one_device_s_tpdo_is_another_one_s_rpdo():
    sender, receiver = Device(5), Device(6)
    entries = [(0x2001, 1), (0x2005, 8), (0x2003, 16), (0x2008, 32)]
    sender.map(True, 1, 0x185, 1, entries)
    receiver.map(False, 1, 0x185, 1, entries)
    sender.start(), receiver.start()
    sender.set((0x2001, 0, True), (0x2005, 0, 200), (0x2003, 0, -300), (0x2008, 0, -0.5))
    (data,) = sender.sync()
    receiver.sync()
    receiver.hear(data, 0x185)
    assert receiver.store.get(0x2003, 0) == 0
    receiver.sync()
    values = [receiver.store.get(index, 0) for index, _ in entries]
    assert (values, receiver.trouble, data) == ([True, 200, -300, -0.5], [], "91a9fd0100007e01")


class AnyConsumer(RuleBasedStateMachine):
    """Frames of any length, SYNCs and silence in any order, against the rules in words."""

    @initialize(
        kind=st.sampled_from([0, 1, 240, 241, 252, 253, 254, 255]),
        event_ms=st.sampled_from([0, 10, 100]),
        off=st.booleans(),
    )
    def begin(self, kind, event_ms, off):
        self.now, self.applied, self.staged, self.want = 0.0, [], None, []
        self.kind, self.event_s, self.on, self.last = kind, event_ms / 1000, not off, None
        cob = CobId(RPDO, bit_31=off)
        parameters = PdoParameters(False, 1, cob, kind, 0.0, self.event_s, 0, (MappingEntry(0x2006, 0, 16),))
        self.machine = RPdo(parameters, lambda data, now: self.applied.append((data, now)))
        self.running, self.wrong = False, set()

    def _check(self):
        assert self.applied == self.want
        for event in self.machine.events():
            assert self.running and self.on
            assert (event.error in self.wrong) == event.over, "told twice, or the end of what never began"
            if event.over:
                self.wrong.discard(event.error)
            else:
                self.wrong.add(event.error)
                late = event.error is PdoError.TIMED_OUT
                assert not late or (self.last is not None and event.at >= self.last + self.event_s)

    @rule()
    def start(self):
        self.machine.start()
        self.running, self.staged, self.last = True, None, None
        self._check()

    @rule()
    def stop(self):
        self.machine.stop()
        self.running, self.staged, self.last = False, None, None
        self._check()

    @rule(data=st.binary(max_size=4))
    def hear(self, data):
        self.machine.receive(Frame(RPDO, data), self.now)
        allowed = self.kind in AT_SYNC or self.kind in EVENT_DRIVEN
        if self.running and self.on and len(data) >= 2 and allowed:
            self.last = self.now
            if self.kind in AT_SYNC:
                self.staged = data[:2]
            else:
                self.want.append((data[:2], self.now))
        self._check()

    @rule()
    def sync(self):
        if self.staged is not None:
            self.want.append((self.staged, self.now))
        assert self.machine.sync(self.now) == (self.staged is not None)
        self.staged = None
        self._check()

    @rule(ms=st.integers(1, 150))
    def wait(self, ms):
        end = self.now + ms / 1000
        while (due := self.machine.deadline()) is not None and due <= end:
            self.now = max(due, self.now)
            self.machine.tick(self.now)
            assert self.machine.deadline() is None, "told once, then it rests"
        self.now = end
        self.machine.tick(end)
        self._check()
        if self.running and self.on and self.event_s and self.last is not None and end > self.last + self.event_s:
            assert PdoError.TIMED_OUT in self.wrong

    @rule()
    def others(self):
        for frame in (Frame(RPDO, remote=True), Frame(RPDO + 1, b"\1\2"), Frame(RPDO, b"\1\2", extended=True)):
            self.machine.receive(frame, self.now)
        assert self.machine.frames_to_send() == []
        self._check()


TestAnyConsumer = AnyConsumer.TestCase
TestAnyConsumer.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
