"""The PDOs of a live node: parameters, mapping, samples, sending, on a simulated bus and a clock that a test winds."""

import logging
import threading

import pytest
from pdo_world import NODE, OBJECTS, World, decoded, same_values

import opendiag
from opendiag.dictionary.datatypes import DataType as T
from opendiag.errors import (
    AdapterClosed,
    BlockingCall,
    NoValueYet,
    ObjectNotFound,
    PdoMappingRefused,
    PdoTimeout,
    SdoAborted,
    ValueRefused,
)
from opendiag.frame import Frame
from opendiag.master.clock import ManualClock
from opendiag.wire.nmt import NmtState
from opendiag.wire.pdo import DAM_MPDO, SAM_MPDO, MappingEntry, Mpdo

STEPIM = 101
U16, U32, I8 = (
    next(index for index, kind in OBJECTS if kind is wanted) for wanted in (T.UNSIGNED16, T.UNSIGNED32, T.INTEGER8)
)
BIT, TEXT = (next(index for index, kind in OBJECTS if kind is wanted) for wanted in (T.BOOLEAN, T.VISIBLE_STRING))


def name(index):
    return f"{dict(OBJECTS)[index].name} {index:04X}"


@pytest.fixture
def world():
    made = World()
    yield made
    made.close()


@pytest.fixture
def drive():
    with opendiag.connect("sim:stepim", clock=ManualClock()) as network:
        yield network[STEPIM]


def sdo(index, subindex, data):
    """Another master's expedited write, and the device's answer."""
    head = index.to_bytes(2, "little") + bytes([subindex])
    request = bytes([0x23 | (4 - len(data)) << 2]) + head + data.ljust(4, b"\0")
    return Frame(0x600 + NODE, request), Frame(0x580 + NODE, b"\x60" + head + bytes(4))


# --- parameters ---


def test_parameters_are_read_once(drive):
    pdo = drive.pdo.tpdo(1)
    with drive.network.frames() as frames:
        assert pdo.parameters.inhibit_s == 0.2
        assert [entry.index for entry in pdo.parameters.entries] == [0x6041, 0x6061]
        asked = frames.get(0)
        assert asked is not None
        frames.clear()
        assert pdo.parameters.name == "TPDO1"
        assert pdo.show()[0].name == "Statusword"
        assert frames.get(0) is None, "it was read already"
        pdo.refresh()
        assert frames.get(0) is not None


def test_rows_say_what_is_mapped(drive):
    rows = drive.pdo.tpdo(1).show()
    assert [(row.bit, row.bits, row.text, row.name, row.type) for row in rows] == [
        (0, 16, "6041:00", "Statusword", "UNSIGNED16"),
        (16, 8, "6061:00", "Modes of Operation Display", "INTEGER8"),
    ]


def test_slots_behind_the_count_are_not_mapped(drive):
    assert [row.text for row in drive.pdo.tpdo(4).show()] == ["60FA:00"]


def test_after_a_restart_the_device_is_asked_again(world):
    world.start()
    pdo = world.node.pdo.tpdo(1)
    pdo.map([U16])
    world.network.send(Frame(0, bytes([0x81, NODE])))
    world.network.sleep(1)
    assert pdo.known.entries == (), "what was only written is forgotten"
    assert pdo.parameters.entries == ()


def test_a_silent_device_is_as_its_dictionary_says():
    with opendiag.connect("sim:stepim", clock=ManualClock(), dictionaries={7: "stepim"}) as network:
        pdo = network[7].pdo.tpdo(1)
        assert pdo.parameters.cob.can_id == 0x187
        assert [row.name for row in pdo.show()] == ["Statusword", "Modes of Operation Display"]


def test_a_device_without_this_pdo(world):
    with pytest.raises(SdoAborted, match="1802:01"):
        _ = world.node.pdo.tpdo(3).parameters
    with pytest.raises(ValueError, match=r"outside 1\.\.512"):
        world.node.pdo.rpdo(0)


def test_all_of_them(drive):
    assert [pdo.number for pdo in drive.pdo.tpdos] == list(range(1, 9))
    assert [pdo.name for pdo in drive.pdo.rpdos] == [f"RPDO{number}" for number in range(1, 9)]
    assert drive.pdo.tpdo(3) is drive.pdo.tpdos[2]


def test_all_of_them_without_a_dictionary():
    world = World(given=False)
    assert [pdo.number for pdo in world.node.pdo.tpdos] == [1, 2]
    world.close()


# --- mapping ---


def test_map_by_name_number_and_width(world):
    pdo = world.node.pdo.tpdo(1)
    found = pdo.map([name(U16), I8, (U32, 0), f"{TEXT:04X}:00/8"], transmission_type=1, event_s=0.1)
    assert [(entry.index, entry.bits) for entry in found.entries] == [(U16, 16), (I8, 8), (U32, 32), (TEXT, 8)]
    assert (found.transmission_type, found.event_s, found.cob.can_id) == (1, 0.1, 0x185)
    assert pdo.parameters == found == pdo.refresh()


def test_what_is_misspelt_or_has_no_width_is_refused_before_anything_is_sent(world):
    pdo = world.node.pdo.tpdo(1)
    assert pdo.parameters
    with world.network.frames() as frames:
        with pytest.raises(ObjectNotFound, match="Statuswort"):
            pdo.map(["Statuswort"])
        with pytest.raises(ValueRefused, match="width of 5000:00 is not known: say its bits, as in 5000:00/16"):
            pdo.map([0x5000])
        with pytest.raises(ValueRefused, match="how many bits has the dummy"):
            pdo.map(["dummy"])
        with pytest.raises(ValueRefused, match="72 bits, and a PDO has 64"):
            pdo.map([U32, U32, I8])
        assert frames.get(0) is None


def test_a_refused_step_leaves_the_pdo_as_it_was(world):
    pdo = world.node.pdo.tpdo(1)
    before = pdo.map([U16, I8])
    with pytest.raises(
        PdoMappingRefused, match=r"step 3 of 5 .* at entry 2, 1000:00 Device type \(32 bits\)"
    ) as caught:
        pdo.map([U32, 0x1000])
    assert caught.value.left == ""
    assert pdo.parameters == before == pdo.refresh()


def test_switching_off_and_on(world):
    pdo = world.node.pdo.tpdo(1)
    pdo.map([U16])
    assert not pdo.switch_off().valid
    assert pdo.refresh().entries == (MappingEntry(U16, 0, 16),)
    assert pdo.switch_on().active


def test_a_callback_cannot_map(world):
    seen = []

    def callback(sample):
        try:
            world.node.pdo.tpdo(1).map([U16])
        except BlockingCall as error:
            seen.append(error)

    pdo = world.node.pdo.tpdo(1)
    pdo.map([U16], transmission_type=1)
    pdo.subscribe(callback)
    world.start()
    world.sync()
    assert len(seen) == 1


def test_the_state_that_the_node_is_known_to_be_in(world):
    pdo = world.node.pdo.tpdo(1)
    world.network.sleep(0.1)
    assert pdo._state() in (None, NmtState.PRE_OPERATIONAL)
    world.start()
    assert pdo._state() is NmtState.OPERATIONAL


# --- samples ---


def test_samples_have_values_by_name(world):
    pdo = world.node.pdo.tpdo(1)
    pdo.map([U16, I8], transmission_type=1)
    samples = []
    end = pdo.subscribe(samples.append)
    world.put(U16, b"\x34\x12")
    world.put(I8, b"\xfe")
    world.start()
    world.sync()
    assert [sample.values for sample in samples] == [{name(U16): 0x1234, name(I8): -2}]
    sample = samples[0]
    assert (sample.node_id, sample.number, sample.name, sample.raw) == (NODE, 1, "TPDO1", b"\x34\x12\xfe")
    assert sample.flags == ()
    assert 0 < sample.at <= world.network.clock.now()
    assert pdo.latest == sample
    end()
    world.sync()
    assert len(samples) == 1


def test_a_callback_that_fails_disturbs_nobody(world, caplog):
    pdo = world.node.pdo.tpdo(1)
    pdo.map([U16], transmission_type=1)
    samples = []

    def failing(sample):
        raise RuntimeError("of the user")

    pdo.subscribe(failing)
    pdo.subscribe(samples.append)
    world.start()
    with caplog.at_level(logging.ERROR, "opendiag"):
        world.sync()
        world.sync()
    assert len(samples) == 2
    assert caplog.text.count("RuntimeError: of the user") == 1  # the first in full; the other is counted


def test_streams_and_waiting(world):
    pdo = world.node.pdo.tpdo(1)
    pdo.map([U16], transmission_type=255)
    world.start()
    world.network.sleep(0.1)
    with pdo.samples() as stream:
        for value in (b"\1\0", b"\2\0"):
            world.put(U16, value)
            world.network.sleep(0.1)
        assert [stream.get(0).values[name(U16)] for _ in range(2)] == [1, 2]
        assert stream.get(0.1) is None
    assert list(stream) == []
    world.put(U16, b"\3\0")
    assert pdo.wait(0.1).values == {name(U16): 3}
    with pytest.raises(PdoTimeout, match=r"TPDO1 of node 5 \(CAN-ID 185h\) did not come within 0.2 s"):
        pdo.wait(0.2)


@pytest.mark.parametrize(
    ("data", "values", "flag"),
    [
        (b"\x34", {}, "pdo-too-short"),
        (b"\x34\x12", {U16: 0x1234}, "pdo-too-short"),
        (b"\x34\x12\xfe\x07", {U16: 0x1234, I8: -2}, "pdo-too-long"),
        (b"", {}, "pdo-too-short"),
    ],
)
def test_a_wrong_length_is_flagged(world, data, values, flag):
    pdo = world.node.pdo.tpdo(1)
    pdo.map([U16, I8], transmission_type=255)
    samples = []
    pdo.subscribe(samples.append)
    frames = world.network.frames()
    world.other.send(Frame(0x185, data))
    world.network.sleep(0.01)
    assert [sample.flags for sample in samples] == [(flag,)]
    assert samples[0].values == {name(index): value for index, value in values.items()}
    assert samples[0].raw == data
    records = [record for frame in frames_of(frames) for record in world.network.decoder().feed(frame)]
    assert flag in {each for record in records for each in record.flags}


def frames_of(stream):
    stream.close()
    found = []
    while (frame := stream.get(0)) is not None:
        found.append(frame)
    return found


def test_an_unknown_mapping_is_raw_and_says_so():
    with opendiag.connect("sim:stepim", clock=ManualClock()) as network:
        pdo = network[9].pdo.tpdo(1)
        samples = []
        pdo.subscribe(samples.append)
        network.send(Frame(0x189, b"\1\2"))
        network.sleep(0.01)
        assert [(sample.values, sample.raw, sample.flags) for sample in samples] == [
            ({}, b"\1\2", ("mapping-unknown",))
        ]


def test_what_no_pdo_may_be_is_no_sample(world):
    pdo = world.node.pdo.tpdo(1)
    pdo.map([U16])
    samples = []
    pdo.subscribe(samples.append)
    for frame in (Frame(0x185, remote=True, dlc=2), Frame(0x185, b"\1\2", extended=True), Frame(0x186, b"\1\2")):
        world.other.send(frame)
    world.network.sleep(0.01)
    assert samples == []


def test_remapping_while_subscribed(world):
    pdo = world.node.pdo.tpdo(1)
    pdo.map([U16], transmission_type=1)
    samples = []
    pdo.subscribe(samples.append)
    world.put(U32, b"\1\0\0\0")
    world.start()
    world.sync()
    pdo.map([U32, U16], cob_id=0x1B5)
    world.sync()
    pdo.map([I8], cob_id=0x12345)
    world.sync()
    assert [set(sample.values) for sample in samples] == [{name(U16)}, {name(U32), name(U16)}, {name(I8)}]
    assert samples[1].values[name(U32)] == 1
    assert all(sample.flags == () for sample in samples)


def test_remapping_by_another_master_is_learned(world):
    pdo = world.node.pdo.tpdo(1)
    pdo.map([U16])
    samples = []
    pdo.subscribe(samples.append)
    world.other.send(Frame(0x185, b"\1\2"))
    world.network.sleep(0.01)
    for index, subindex, data in (
        (0x1800, 1, b"\x85\1\0\x80"),
        (0x1A00, 0, b"\0"),
        (0x1A00, 1, MappingEntry(I8, 0, 4).encode().to_bytes(4, "little")),
        (0x1A00, 2, MappingEntry(0x5000, 0, 12).encode().to_bytes(4, "little")),
        (0x1A00, 0, b"\2"),
        (0x1800, 1, b"\x95\1\0\0"),
    ):
        world.device.powered = False  # the test answers in its place
        for frame in sdo(index, subindex, data):
            world.other.send(frame)
            world.network.sleep(0.001)
    world.other.send(Frame(0x195, b"\xf8\xff"))
    world.other.send(Frame(0x185, b"\1\2"))
    world.network.sleep(0.01)
    assert [sample.values for sample in samples] == [{name(U16): 0x201}, {name(I8): -8, "5000:00": b"\xff\x0f"}]


def test_a_mapping_that_no_frame_can_carry_is_not_known(world):
    pdo = world.node.pdo.tpdo(1)
    pdo.map([U16])
    samples = []
    pdo.subscribe(samples.append)
    for slot in range(1, 4):
        world.node.view.learn(0x1A00, slot, MappingEntry(U16, 0, 255).encode().to_bytes(4, "little"), True)
    world.node.view.learn(0x1A00, 0, b"\3", True)
    world.network.pdo_traffic.changed(world.node)
    world.other.send(Frame(0x185, b"\1\2"))
    world.network.sleep(0.01)
    assert [(sample.values, sample.flags) for sample in samples] == [({}, ("mapping-unknown",))]
    assert pdo.show()[0].bits == 255


def test_a_stale_answer_teaches_nothing(world):
    pdo = world.node.pdo.tpdo(1)
    before = pdo.map([U16])
    world.device.powered = False
    for frame in reversed(sdo(0x1A00, 0, b"\0")):
        world.other.send(frame)
        world.network.sleep(0.001)
    assert pdo.known == before, "a request alone has no value"


def test_a_remote_request(world):
    pdo = world.node.pdo.tpdo(1)
    pdo.map([U16], transmission_type=253)
    world.put(U16, b"\x34\x12")
    world.start()
    assert pdo.request().values == {name(U16): 0x1234}
    pdo.map([U16], cob_id=opendiag.wire.cob_id.CobId(0x185, bit_30=True))
    with pytest.raises(ValueRefused, match=r"does not allow remote frames \(bit 30 of 1800:01\)"):
        pdo.request()
    pdo.switch_off()
    with pytest.raises(ValueRefused):
        pdo.request()


def test_two_pdos_of_two_nodes_and_everything_of_one(drive):
    samples = []
    end = drive.pdo.subscribe(samples.append)
    drive.network.send(Frame(0, bytes([1, STEPIM])))
    drive.network.sleep(0.5)
    assert {sample.name for sample in samples} == {"TPDO1", "TPDO2", "TPDO3", "TPDO4"}
    end()


def test_samples_of_a_multiplexed_pdo(world):
    pdo = world.node.pdo.tpdo(2)
    samples = []
    pdo.subscribe(samples.append)
    world.node.view.learn(0x1A01, 0, bytes([SAM_MPDO]), True)
    world.network.pdo_traffic.changed(world.node)
    for index, data in ((U16, b"\x34\x12\0\0"), (0x5000, b"\1\2\3\4")):
        world.other.send(Frame(0x285, Mpdo(NODE, False, index, 0, data).encode()))
    world.other.send(Frame(0x285, b"\1\2\3"))
    world.network.sleep(0.01)
    assert [sample.values for sample in samples] == [{name(U16): 0x1234}, {"5000:00": b"\1\2\3\4"}, {}]
    assert samples[2].flags == ("multiplexed", "pdo-too-short")


# --- sending ---


def test_nothing_is_sent_before_everything_has_a_value(world):
    pdo = world.node.pdo.rpdo(1)
    pdo.map([U16, I8], transmission_type=255)
    pdo[name(U16)] = 5
    with pytest.raises(ValueRefused, match=f"no value for {name(I8)}.*nothing was sent"):
        pdo.send()
    with pytest.raises(KeyError, match="has no value yet"):
        pdo[I8]
    with pytest.raises(NoValueYet, match=rf"^{I8:04X}:00 {name(I8)} in RPDO1 of node {NODE} has no value yet"):
        pdo[I8]
    for key, text in ((0x6040, "6040h"), ((0x6040, 0), "6040:00"), ("Controlword", "'Controlword'")):
        with pytest.raises(ObjectNotFound, match=rf"RPDO1 of node {NODE} has no object {text} \(mapped: "):
            pdo[key]
    world.start()
    pdo.send({I8: -3})
    world.network.sleep(0.01)
    assert world.device.store.values[U16, 0] == b"\5\0"
    assert world.device.store.values[I8, 0] == b"\xfd"
    assert (pdo[U16], pdo["integer8-2004"], pdo[(I8, 0)], list(pdo)) == (5, -3, -3, [name(U16), name(I8)])


def test_values_are_checked_when_they_are_set(world):
    pdo = world.node.pdo.rpdo(1)
    pdo.map([U16, (U32, 0, 32)])
    for value, says in (
        (70000, r"70000 is outside 0\.\.65535"),
        ("fast", "an integer is wanted"),
        (-1, "-1 is outside"),
    ):
        with pytest.raises(ValueRefused, match=says):
            pdo[U16] = value
    with pytest.raises(ValueRefused):
        pdo.set({U32: 7, U16: 70000})
    with pytest.raises(KeyError, match="no value"):
        pdo[U32]
    with pytest.raises(ObjectNotFound, match=f"mapped: '{name(U16)}', '{name(U32)}'"):
        pdo["Controlword"] = 1


def test_limits_hold_for_pdos_too(drive):
    pdo = drive.pdo.rpdo(1)
    with pytest.raises(ValueRefused, match="above its upper limit 8"):
        pdo["Modes of Operation"] = 9
    pdo["Modes of Operation"] = 8


def test_load_takes_what_the_device_holds(world):
    pdo = world.node.pdo.rpdo(1)
    pdo.map([U16, I8])
    world.put(U16, b"\x34\x12")
    world.put(I8, b"\xff")
    pdo.load()
    assert (pdo[U16], pdo[I8]) == (0x1234, -1)


def test_a_pdo_that_is_switched_off_is_not_sent(world):
    pdo = world.node.pdo.rpdo(1)
    pdo.map([I8])
    pdo[I8] = 1
    pdo.switch_off()
    with pytest.raises(ValueRefused, match=r"switched off \(bit 31 of 1400:01\)"):
        pdo.send()
    pdo.switch_on()
    pdo.send()


def test_periodically_with_the_values_of_the_moment(world):
    pdo = world.node.pdo.rpdo(1)
    pdo.map([U16], transmission_type=255)
    pdo[U16] = 1
    with world.network.frames() as frames:
        cycle = pdo.every(0.01)
        world.network.sleep(0.025)
        pdo[U16] = 2
        world.network.sleep(0.02)
        pdo.stop()
        world.network.sleep(0.05)
        sent = [frame.data for frame in frames_of(frames) if frame.can_id == 0x205]
    assert sent == [b"\1\0"] * 3 + [b"\2\0"] * 2
    assert not cycle.running


def test_a_remapped_rpdo_keeps_the_values_of_its_objects_and_stops_where_one_lacks(world):
    pdo = world.node.pdo.rpdo(1)
    pdo.map([U16], transmission_type=255)
    pdo[U16] = 7
    cycle = pdo.every(0.01)
    world.network.sleep(0.02)
    pdo.map([I8, U16])
    world.network.sleep(0.05)
    assert not cycle.running
    assert isinstance(cycle.error, ValueRefused)
    assert pdo[U16] == 7
    pdo[I8] = 1
    pdo.send()


def test_by_sync(world):
    pdo = world.node.pdo.rpdo(1)
    pdo.map([U16], transmission_type=1)
    pdo[U16] = 9
    pdo.on_sync()
    with world.network.frames() as frames:
        world.sync()
        world.other.send(Frame(0x80))
        world.network.sleep(0.01)
        pdo.stop()
        world.sync()
        found = [frame.can_id for frame in frames_of(frames) if frame.can_id in (0x80, 0x205)]
    assert found == [0x80, 0x205, 0x80, 0x205, 0x80]


def test_an_rpdo_can_be_heard_too(world):
    pdo = world.node.pdo.rpdo(1)
    pdo.map([U16])
    samples = []
    pdo.subscribe(samples.append)
    pdo.send({U16: 3})
    world.other.send(Frame(0x205, b"\4\0"))
    world.network.sleep(0.01)
    assert [(sample.name, sample.values[name(U16)]) for sample in samples] == [("RPDO1", 3), ("RPDO1", 4)]


def test_a_destination_address_mpdo(world):
    pdo = world.node.pdo.rpdo(2)
    with pytest.raises(ValueRefused, match="1601:00 is not FFh"):
        pdo.send_mpdo(U16, 5)
    pdo.map(None, multiplexed=DAM_MPDO, transmission_type=255)
    world.start()
    pdo.send_mpdo(name(U16), 0x1234)
    world.network.sleep(0.01)
    assert world.device.store.values[U16, 0] == b"\x34\x12"
    with pytest.raises(ValueRefused, match="carries 4 bytes, not 8"):
        pdo.send_mpdo(next(index for index, kind in OBJECTS if kind is T.UNSIGNED64), 1)


# --- threads, and the end ---


def test_many_threads(world):
    pdo, rpdo = world.node.pdo.tpdo(1), world.node.pdo.rpdo(1)
    pdo.map([U16], transmission_type=1)
    rpdo.map([U16], transmission_type=255)
    made, errors = [], []

    def work(number):
        try:
            for value in range(20):
                rpdo.send({U16: number * 100 + value})
                made.append(pdo.parameters.name)
                _ = pdo.latest
                pdo.subscribe(lambda sample: None)()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert errors == []
    assert len(made) == 80


def test_a_closed_network(world):
    pdo = world.node.pdo.tpdo(1)
    pdo.map([U16])
    stream = pdo.samples()
    world.network.close()
    with pytest.raises(AdapterClosed):
        pdo.subscribe(print)
    with pytest.raises(AdapterClosed):
        stream.get(1)
    assert list(stream) == []


def test_a_decoder_made_afterwards_knows_the_mapping(world):
    pdo = world.node.pdo.tpdo(1)
    pdo.map([U16, I8], transmission_type=1, cob_id=0x1B5)
    world.start()
    frames = world.network.frames()
    with pdo.samples() as stream:
        world.sync()
        sample = stream.get(0)
    records = decoded(frames_of(frames), 0x1B5, world.network.decoder())
    assert len(records) == 2
    same_values(sample, pdo._channel.reading.layout, records)


def test_why_it_does_not_come(world):
    pdo = world.node.pdo.tpdo(1)
    pdo.map([U16], transmission_type=1, cob_id=0x1B5)
    assert {finding.code for finding in pdo.why(listen_s=0.5)} == {"PDO-NMT", "PDO-NO-SYNC"}
    world.start()
    assert [finding.code for finding in pdo.why(listen_s=0.5)] == ["PDO-NO-SYNC"]
    pdo.map([U16], transmission_type=255, event_s=0.1)
    assert pdo.why(listen_s=0.5) == [], "looked for where it was mapped to"


def test_samples_go_on_after_the_callbacks_had_more_than_they_can_hold(world, monkeypatch):
    """Somebody else's slow function has filled the queue; when there is room again, samples come again."""
    from opendiag.master import dispatcher as module

    seen = []
    world.node.pdo.tpdo(1).subscribe(seen.append)
    cob = world.node.pdo.tpdo(1).known.cob
    with monkeypatch.context() as full:
        full.setattr(module, "BACKLOG", 0)
        world.other.send(Frame(cob.can_id, bytes(8)))
        world.network.sleep(0.01)
    assert seen == []
    world.other.send(Frame(cob.can_id, bytes(8)))
    world.network.sleep(0.01)
    assert len(seen) == 2
