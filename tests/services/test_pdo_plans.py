"""Reading and mapping a PDO as plans, against a device that does and refuses what a test wants."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.errors import PdoMappingRefused, PlanCancelled, SdoAborted, SdoTimeout, ValueRefused
from opendiag.services.pdo_plans import PdoSettings, map_pdo, read_pdo
from opendiag.services.plans import SdoRead, SdoWrite, Send, Sleep
from opendiag.wire.cob_id import CobId
from opendiag.wire.nmt import NmtState
from opendiag.wire.pdo import DAM_MPDO, MappingEntry
from opendiag.wire.sdo_abort import SdoAbortCode as Abort
from opendiag.wire.sdo_abort import abort_text

NODE = 5
COMMUNICATION, MAPPING = 0x1800, 0x1A00
STATUS, POSITION = MappingEntry(0x6041, 0, 16), MappingEntry(0x6064, 0, 32)
OFF = 0x80000000


class Device:
    """TPDO1 of a device that wants the order of CiA 301. ``refuses`` maps (index, subindex, nth write) to a code."""

    def __init__(self, slots=4, **held):
        self.held = {
            (COMMUNICATION, 0): 6,
            (COMMUNICATION, 1): 0x185,
            (COMMUNICATION, 2): 255,
            (COMMUNICATION, 3): 100,
            (COMMUNICATION, 5): 0,
            (COMMUNICATION, 6): 0,
            (MAPPING, 0): 1,
            **{(MAPPING, slot): 0 for slot in range(1, slots + 1)},
            (MAPPING, 1): STATUS.encode(),
        }
        self.refuses = {}
        self.needs_pre_operational = False
        self.state = NmtState.OPERATIONAL
        self.silent_after = None
        self.writes, self.sent = [], []
        self.counts = {}

    def run(self, plan):
        answer, error = None, None
        while True:
            try:
                request = plan.send(answer) if error is None else plan.throw(error)
            except StopIteration as end:
                return end.value
            answer = error = None
            try:
                answer = self.perform(request)
            except Exception as problem:
                error = problem

    def perform(self, request):
        if isinstance(request, Send):
            self.sent.append(request.frame.data)
            self.state = {1: NmtState.OPERATIONAL, 0x80: NmtState.PRE_OPERATIONAL}[request.frame.data[0]]
        elif isinstance(request, SdoRead):
            key = request.index, request.subindex
            if key not in self.held:
                raise self.abort(request, "read", Abort.NO_SUCH_SUBINDEX)
            return self.held[key].to_bytes(4, "little")
        elif isinstance(request, SdoWrite):
            self.write(request)
        else:
            assert isinstance(request, Sleep)
        return None

    def write(self, request):
        key, value = (request.index, request.subindex), int.from_bytes(request.data, "little")
        self.writes.append((*key, value))
        self.counts[key] = self.counts.get(key, 0) + 1
        if self.silent_after is not None and len(self.writes) > self.silent_after:
            raise SdoTimeout(NODE, *key, "write", 0.5)
        code = self.refuses.get((*key, self.counts[key]))
        if code is None:
            code = self.rule(key, value)
        if code is not None:
            raise self.abort(request, "write", code)
        self.held[key] = value

    def rule(self, key, value):
        valid = not self.held[COMMUNICATION, 1] & OFF
        if key not in self.held:
            return Abort.NO_SUCH_SUBINDEX
        if self.needs_pre_operational and self.state is not NmtState.PRE_OPERATIONAL:
            return Abort.DEVICE_STATE
        if key[0] == MAPPING and (valid or (key[1] and self.held[MAPPING, 0])):
            return Abort.UNSUPPORTED_ACCESS
        if key == (COMMUNICATION, 1) and valid and (value ^ self.held[key]) & ~OFF:
            return Abort.INVALID_VALUE
        if key[0] == COMMUNICATION and key[1] in (3, 6) and valid:
            return Abort.UNSUPPORTED_ACCESS
        return None

    def abort(self, request, action, code):
        return SdoAborted(NODE, request.index, request.subindex, action, code, abort_text(code))

    def map(self, *entries, state=NmtState.OPERATIONAL, pre_operational=False, **settings):
        mapped = PdoSettings(entries, **settings) if entries else PdoSettings(**settings)
        return self.run(map_pdo(NODE, True, 1, mapped, state=state, pre_operational=pre_operational))


@pytest.fixture
def device():
    return Device()


# --- reading ---


def test_read_as_the_device_says(device):
    pdo = device.run(read_pdo(NODE, True, 1))
    assert (pdo.name, pdo.cob, pdo.transmission_type, pdo.inhibit_s) == ("TPDO1", CobId(0x185), 255, 0.01)
    assert pdo.entries == (STATUS,)
    assert pdo.active


def test_subindices_that_a_device_lacks_are_as_by_default(device):
    for subindex in (0, 2, 3, 5, 6):
        del device.held[COMMUNICATION, subindex]
    pdo = device.run(read_pdo(NODE, True, 1))
    assert (pdo.transmission_type, pdo.inhibit_s, pdo.event_s, pdo.sync_start) == (255, 0, 0, 0)


def test_slots_behind_the_count_are_not_mapped(device):
    device.held[MAPPING, 2] = POSITION.encode()
    assert device.run(read_pdo(NODE, True, 1)).entries == (STATUS,)


def test_a_pdo_that_is_not_there(device):
    with pytest.raises(SdoAborted, match="1801:01"):
        device.run(read_pdo(NODE, True, 2))
    with pytest.raises(ValueError, match=r"outside 1\.\.512"):
        device.run(read_pdo(NODE, True, 513))


# --- mapping ---


def test_the_five_steps_in_their_order(device):
    pdo = device.map(STATUS, POSITION, transmission_type=1, inhibit_s=0.02, event_s=0.1, cob_id=0x285, sync_start=3)
    assert device.writes == [
        (COMMUNICATION, 1, OFF | 0x185),
        (MAPPING, 0, 0),
        (MAPPING, 1, STATUS.encode()),
        (MAPPING, 2, POSITION.encode()),
        (MAPPING, 0, 2),
        (COMMUNICATION, 2, 1),
        (COMMUNICATION, 3, 200),
        (COMMUNICATION, 5, 100),
        (COMMUNICATION, 6, 3),
        (COMMUNICATION, 1, 0x285),
    ]
    assert pdo.entries == (STATUS, POSITION)
    assert (pdo.transmission_type, pdo.inhibit_s, pdo.event_s, pdo.sync_start) == (1, 0.02, 0.1, 3)
    assert device.sent == [], "no NMT command where the device does not insist"


def test_what_is_so_already_is_not_written_again(device):
    device.map(STATUS, transmission_type=255, sync_start=0)
    assert device.writes == [(COMMUNICATION, 1, OFF | 0x185), (COMMUNICATION, 1, 0x185)]


def test_the_flags_of_the_cob_id_stay(device):
    device.held[COMMUNICATION, 1] = 0x60012345
    device.map(POSITION)
    assert device.held[COMMUNICATION, 1] == 0x60012345
    device.map(POSITION, cob_id=0x12346)
    assert device.held[COMMUNICATION, 1] == 0x60012346
    device.map(POSITION, cob_id=CobId(0x185))
    assert device.held[COMMUNICATION, 1] == 0x185


def test_off_stays_off_when_that_is_wanted(device):
    assert not device.map(POSITION, enable=False).valid
    assert device.held[COMMUNICATION, 1] == OFF | 0x185
    assert device.held[MAPPING, 1] == POSITION.encode()
    assert device.map().valid


def test_a_pdo_without_a_can_id_gets_the_one_by_default(device):
    device.held[COMMUNICATION, 1] = OFF
    assert device.map(POSITION).cob == CobId(0x185)


def test_a_pdo_without_any_can_id():
    device = Device()
    device.held = {(index + 4, subindex): value for (index, subindex), value in device.held.items()}
    device.held[COMMUNICATION + 4, 1] = OFF
    with pytest.raises(ValueRefused, match=r"TPDO5 of node 5: it has no CAN-ID.*; nothing was sent"):
        device.run(map_pdo(NODE, True, 5, PdoSettings((STATUS,))))
    assert device.writes == []


def test_a_multiplexed_pdo(device):
    pdo = device.map(multiplexed=DAM_MPDO)
    assert (pdo.multiplexed, pdo.entries) == (DAM_MPDO, ())
    assert device.writes[1:3] == [(MAPPING, 0, 0), (MAPPING, 0, DAM_MPDO)]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"entries": (POSITION, POSITION, MappingEntry(1, 0, 1))}, "have 65 bits, and a PDO has 64"),
        ({"entries": (MappingEntry(1, 0, 1),) * 65}, "64 entries at most, not 65"),
        ({"entries": (MappingEntry(0x6041, 0, 0),)}, "6041:00 cannot have 0 bits"),
        ({"transmission_type": 245}, "transmission type 245: reserved"),
        ({"transmission_type": 256}, r"transmission type 256: outside 0\.\.255"),
        ({"inhibit_s": 6.6}, r"inhibit time 6.6 s is outside 0\.\.6.5535 s"),
        ({"event_s": -1}, r"event timer -1 s is outside 0\.\.65.535 s"),
        ({"sync_start": 241}, r"SYNC start value 241: a TPDO takes 0\.\.240"),
        ({"cob_id": 0x80000185}, "CAN-ID 80000185h: 11 or 29 bits"),
        ({"cob_id": 0x080}, "CAN-ID 080h: it belongs to SYNC, and no PDO may have it"),
        ({"cob_id": 0x100}, "CAN-ID 100h: it belongs to TIME"),
        ({"cob_id": 0x081}, "CAN-ID 081h: it belongs to EMCY"),
        ({"cob_id": 0x0FF}, "CAN-ID 0FFh: it belongs to EMCY"),
        ({"cob_id": CobId(0x585)}, "CAN-ID 585h: it belongs to SDO response"),
        ({"cob_id": 0x67F}, "CAN-ID 67Fh: it belongs to SDO request"),
        ({"cob_id": 0x705}, "CAN-ID 705h: it belongs to NMT error control"),
        ({"cob_id": 0x7E5}, "CAN-ID 7E5h: it belongs to LSS request"),
        ({"cob_id": 0x180}, "CAN-ID 180h: CiA 301 keeps it for itself"),
        ({"cob_id": 0x001}, "CAN-ID 001h: CiA 301 keeps it for itself"),
    ],
)
def test_what_no_device_can_hold_is_refused_before_anything_is_sent(device, settings, says):
    with pytest.raises(ValueRefused, match=says):
        device.run(map_pdo(NODE, True, 1, PdoSettings(**settings)))
    assert device.writes == []


# --- a step is refused ---

REFUSALS = [
    ((COMMUNICATION, 1, 1), Abort.READ_ONLY, 1, "the COB-ID (185h)", "this PDO is fixed in the device"),
    ((MAPPING, 0, 1), Abort.READ_ONLY, 2, "the number of entries (0)", "this mapping is fixed in the device"),
    ((MAPPING, 1, 1), Abort.NO_SUCH_OBJECT, 3, "entry 1, 6064:00 (32 bits)", "does not have this object"),
    ((MAPPING, 2, 1), Abort.CANNOT_BE_MAPPED, 3, "entry 2, 6041:00 (16 bits)", "into a TPDO (it must be readable)"),
    ((MAPPING, 0, 2), Abort.PDO_TOO_LONG, 4, "the number of entries (2)", "fewer entries or bits"),
    ((COMMUNICATION, 2, 1), Abort.INVALID_VALUE, 5, "the transmission type (7)", "not have transmission type 7"),
    ((COMMUNICATION, 3, 1), Abort.NO_SUCH_SUBINDEX, 5, "the inhibit time (30)", "has no inhibit time for this PDO"),
    ((COMMUNICATION, 1, 2), Abort.INVALID_VALUE, 5, "the COB-ID (191h)", "the device does not take this CAN-ID"),
]


@pytest.mark.parametrize(("where", "code", "step", "what", "cause"), REFUSALS)
def test_a_refused_step_is_named_and_everything_is_put_back(device, where, code, step, what, cause):
    before = dict(device.held)
    device.refuses[where] = code
    with pytest.raises(PdoMappingRefused) as caught:
        device.map(POSITION, STATUS, transmission_type=7, inhibit_s=0.003, cob_id=0x191)
    error = caught.value
    assert (error.step, error.code, error.pdo, error.left) == (step, code, "TPDO1", "")
    assert (error.index, error.subindex) == where[:2]
    assert f"step {step} of 5" in str(error)
    assert what in str(error)
    assert cause in str(error)
    assert abort_text(code) in str(error)
    assert str(error).endswith("what was changed is put back")
    assert device.held == before


def test_more_entries_than_the_device_has_slots(device):
    before = dict(device.held)
    with pytest.raises(PdoMappingRefused, match=r"entry 5, .*; the device has 4 entries for this PDO"):
        device.map(*[MappingEntry(0x2000 + i, 0, 8) for i in range(5)])
    assert device.held == before


def test_what_cannot_be_put_back_is_said(device):
    device.refuses[MAPPING, 2, 1] = Abort.CANNOT_BE_MAPPED
    device.refuses[MAPPING, 1, 2] = Abort.HARDWARE_ERROR
    with pytest.raises(PdoMappingRefused, match=r"not put back: entry 1, 6041:00.*hardware error") as caught:
        device.map(POSITION, STATUS)
    assert "hardware error" in caught.value.left


def test_a_device_that_falls_silent(device):
    device.silent_after = 3
    with pytest.raises(PdoMappingRefused, match=r"step 3.*no answer within 0.5 s.*nothing further was tried") as caught:
        device.map(POSITION, STATUS)
    assert isinstance(caught.value.__cause__, SdoTimeout)
    assert len(device.writes) == 5, "one try to put back, and no more"


def test_a_device_that_takes_a_mapping_and_does_not_keep_it(device):
    before = dict(device.held)
    write = device.write

    def forgetful(request):
        write(request)
        if (request.index, request.subindex) == (MAPPING, 2):
            device.held[MAPPING, 2] = 0

    device.write = forgetful
    with pytest.raises(PdoMappingRefused, match=r"step 4.*it was taken, but read back the mapping is 6064:00"):
        device.map(POSITION, STATUS)
    assert device.held == before


def test_a_plan_that_is_cancelled_puts_back_what_it_changed(device):
    before = dict(device.held)
    plan = map_pdo(NODE, True, 1, PdoSettings((POSITION, STATUS)))
    answer, writes = None, 0
    while writes < 4:
        request = plan.send(answer)
        writes += isinstance(request, SdoWrite)
        answer = device.perform(request)
    request = plan.throw(PlanCancelled("the test gave up"))
    with pytest.raises(PlanCancelled):
        while True:
            request = plan.send(device.perform(request))
    assert device.held == before


# --- pre-operational ---


def test_pre_operational_only_where_the_device_insists(device):
    device.needs_pre_operational = True
    assert device.map(POSITION).entries == (POSITION,)
    assert device.sent == [bytes([0x80, NODE]), bytes([1, NODE])]
    assert device.state is NmtState.OPERATIONAL


def test_a_node_whose_state_is_not_known_is_left_alone(device):
    device.needs_pre_operational = True
    with pytest.raises(PdoMappingRefused, match="may have to be PRE-OPERATIONAL first"):
        device.map(POSITION, state=None)
    assert device.sent == []
    assert device.map(POSITION, state=None, pre_operational=True).entries == (POSITION,)
    assert device.sent == [bytes([0x80, NODE])], "never started: it may not have been before"


def test_after_a_refusal_the_node_is_operational_again(device):
    device.needs_pre_operational = True
    device.refuses[MAPPING, 1, 1] = Abort.CANNOT_BE_MAPPED
    before = dict(device.held)
    with pytest.raises(PdoMappingRefused):
        device.map(POSITION)
    assert device.sent == [bytes([0x80, NODE]), bytes([1, NODE])]
    assert device.held == before


def test_a_state_that_does_not_help_is_tried_once(device):
    device.refuses = {(COMMUNICATION, 1, n): Abort.DEVICE_STATE for n in range(1, 9)}
    with pytest.raises(PdoMappingRefused, match="PRE-OPERATIONAL did not help"):
        device.map(POSITION)
    assert len(device.writes) == 2


# --- whatever is asked of whatever device ---

ENTRIES = st.lists(st.builds(MappingEntry, st.integers(0x2000, 0x2010), st.just(0), st.integers(1, 16)), max_size=4)


@given(
    ENTRIES,
    ENTRIES,
    st.booleans(),
    st.none() | st.integers(1, 240),
    st.none() | st.integers(0, 0x10000).map(lambda ticks: min(ticks, 0xFFFF) / 10_000),
    st.none() | st.integers(0x181, 0x57F),
    st.none() | st.integers(0, 11),
    st.sampled_from(list(Abort)),
)
def test_either_the_device_holds_what_was_asked_or_what_it_held(
    before, wanted, valid, kind, inhibit_s, cob_id, refused, code
):
    device = Device(slots=4)
    device.held[COMMUNICATION, 1] = 0x185 | (0 if valid else OFF)
    device.held[MAPPING, 0] = len(before)
    device.held |= {(MAPPING, slot): entry.encode() for slot, entry in enumerate(before, 1)}
    held = dict(device.held)
    rule = device.rule

    def refusing(key, value):
        return code if len(device.writes) - 1 == refused else rule(key, value)

    device.rule = refusing
    settings = PdoSettings(tuple(wanted), transmission_type=kind, inhibit_s=inhibit_s, cob_id=cob_id)
    try:
        pdo = device.run(map_pdo(NODE, True, 1, settings))
    except PdoMappingRefused as error:
        assert error.left == ""
        assert device.held == held
    else:
        assert pdo.entries == tuple(wanted)
        assert pdo.valid
        assert pdo.cob.can_id == (cob_id or 0x185)
        assert kind is None or pdo.transmission_type == kind
        assert inhibit_s is None or pdo.inhibit_s == inhibit_s
