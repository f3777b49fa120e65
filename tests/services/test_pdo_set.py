"""All PDOs of a device while somebody changes them by SDO, in any order, right or wrong."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from pdo_bench import NO_RTR, OFF, Device

from opendiag.errors import SdoRefusal
from opendiag.frame import Frame
from opendiag.services.pdo_parameters import EVENT_DRIVEN, PdoParameters
from opendiag.services.pdo_rules import PdoRules

IDS = [0x185, 0x1E0, 0x205, 0x1E1]
ENTRIES = [0, 0x2005_0008, 0x2001_0001, 0x2001_0008, 0x2003_0010, 0x201B_0040, 0x2009_0010, 0x0005_0008, 0x2200_0008]


def test_a_device_without_pdos_has_none():
    made = Device()
    made.map(True, 1, 0x185 | OFF, 255, [(0x2005, 8)])
    assert made.start() == [] and made.pdos.deadline() is None
    with pytest.raises(LookupError, match="there is no TPDO7"):
        made.pdos.trigger(7, 0.0)


def test_a_trigger_is_fetched_without_delay():
    made = Device(look_s=None)
    made.map(True, 1, 0x185, 255, [(0x2005, 8)])
    made.start()
    assert made.run(1.0) == []
    made.pdos.trigger(1, made.now)
    assert made.pdos.deadline() == 0.0
    assert made.run(0.0) == ["00"] and made.pdos.deadline() is None


def test_what_was_about_to_be_sent_is_not_sent_with_other_parameters():
    made = Device()
    made.map(True, 1, 0x185, 255, [(0x2005, 8)])
    made.start()
    made.pdos.trigger(1, made.now)
    made.write(0x1800, 1, 0x186 | OFF)
    assert made.run(1.0) == []


def test_a_reset_forgets_what_was_sent_and_what_waited():
    made = Device()
    made.map(False, 1, 0x205, 1, [(0x2005, 8)])
    made.start()
    made.hear("07")
    made.pdos.reload()
    made.sync()
    assert made.store.get(0x2005, 0) == 0


def test_what_is_switched_on_while_operational_works_at_once():
    made = Device()
    made.start()
    for at, can_id in ((0x1800, 0x185), (0x1400, 0x205)):
        for index, subindex, value in ((at + 0x200, 1, 0x2005_0008), (at + 0x200, 0, 1), (at, 5, 50), (at, 1, can_id)):
            made.write(index, subindex, value)
    assert made.run(0.06) == ["00", "00"], "the first, and the event timer"
    made.hear("07")
    made.run(0.06)
    assert (made.store.get(0x2005, 0), [event.error for event in made.trouble]) == (7, [0x8250])


class AnySet(RuleBasedStateMachine):
    """What the device sends must agree with what its objects say, whatever was written to them."""

    @initialize()
    def begin(self):
        self.device = Device()
        self.device.map(True, 1, 0x185, 255, [(0x2005, 8)], inhibit=100)
        self.device.map(True, 2, 0x1E0, 1, [(0x2003, 16)])
        self.device.map(False, 1, 0x205, 1, [(0x2005, 8)])
        self.rules = PdoRules(self.device.store)
        self.operational, self.last, self.reported = False, {}, set()

    def stored(self, transmit, number):
        return PdoParameters.from_objects(self.rules.number_at, transmit, number)

    def note(self, reason, frames):
        for frame in frames:
            assert self.operational, "a PDO outside OPERATIONAL"
            owners = [pdo for pdo in (self.stored(True, n) for n in range(1, 5)) if pdo.valid]
            owners = [pdo for pdo in owners if pdo.cob.can_id == frame.can_id and len(frame.data) == pdo.length]
            assert owners, "nobody's PDO, or not as long as its mapping"
            kinds = {pdo.transmission_type for pdo in owners}
            assert kinds & {"sync": {0, *range(1, 241)}, "ask": {252, 253, 254, 255}, "time": {*EVENT_DRIVEN}}[reason]
            if len(owners) == 1 and owners[0].transmission_type in EVENT_DRIVEN:
                before = self.last.get(owners[0].number, float("-inf"))
                assert self.device.now >= before + owners[0].inhibit_s - 1e-9, "inside the inhibit time"
                self.last[owners[0].number] = self.device.now
        for event in self.device.trouble:
            assert (event.error in self.reported) == event.over or event.number != 1
            if event.number == 1:
                (self.reported.discard if event.over else self.reported.add)(event.error)
        self.device.trouble.clear()

    def poll(self, reason="time"):
        self.note(reason, self.device.pdos.poll(self.device.now))

    @rule()
    def start(self):
        self.device.pdos.start()
        self.operational = True
        self.poll()

    @rule()
    def stop(self):
        self.device.pdos.stop()
        self.operational = False
        self.poll()

    @rule(
        index=st.sampled_from([0x1800, 0x1801, 0x1400]),
        value=st.sampled_from([1, 2, 3, 5, 6]),
        can_id=st.sampled_from(IDS),
        flags=st.sampled_from([0, OFF, NO_RTR, OFF, 1 << 29]),
        number=st.sampled_from([0, 1, 2, 100, 241, 252, 253, 254, 255]),
    )
    def write_communication(self, index, value, can_id, flags, number):
        self.write(index, value, can_id | flags if value == 1 else number)

    @rule(
        index=st.sampled_from([0x1A00, 0x1A01, 0x1600]),
        slot=st.integers(0, 4),
        entry=st.sampled_from(ENTRIES),
        count=st.sampled_from([0, 0, 1, 2, 3, 65, 254, 255]),
    )
    def write_mapping(self, index, slot, entry, count):
        self.write(index, slot, entry if slot else count)

    def write(self, index, subindex, value):
        transmit, mapping = index >= 0x1800, bool(index & 0x200)
        before = self.stored(transmit, (index & 0x1FF) + 1)
        held = self.device.store.values[index, subindex]
        try:
            self.device.write(index, subindex, value)
        except SdoRefusal:
            assert self.device.store.values[index, subindex] == held
        else:
            after = self.stored(transmit, before.number)
            assert not (mapping and before.valid), "the mapping of a PDO that is on"
            assert not (mapping and subindex and self.rules.number_at(index, 0)), "an entry that is counted"
            assert not after.valid or not before.valid or after.cob.can_id == before.cob.can_id
            assert after.transmission_type not in range(241, 252) and after.bits <= 64
        self.poll()

    @rule(name=st.sampled_from([0x2005, 0x2003]), value=st.integers(0, 100))
    def change(self, name, value):
        self.device.change(name, value)

    @rule(ms=st.integers(1, 60))
    def wait(self, ms):
        end, steps = self.device.now + ms / 1000, 0
        while (due := self.device.pdos.deadline()) is not None and due <= end:
            self.device.now = max(self.device.now, due)
            self.poll()
            steps += 1
            assert steps < 1000, "a deadline that does not pass"
        self.device.now = end
        self.poll()

    @rule(counter=st.none() | st.integers(1, 3))
    def sync(self, counter):
        self.note("sync", self.device.pdos.sync(self.device.now, counter))

    @rule(can_id=st.sampled_from(IDS), data=st.none() | st.binary(max_size=8), extended=st.booleans())
    def hear(self, can_id, data, extended):
        frame = Frame(can_id, data or b"", extended=extended, remote=data is None)
        self.device.pdos.receive(frame, self.device.now)
        self.poll("ask")


TestAnySet = AnySet.TestCase
TestAnySet.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
