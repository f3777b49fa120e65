"""opendiag.dictionary.dbc: read back by cantools, which must find in the bytes what opendiag finds."""

import re

import cantools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.decode.decoder import Decoder
from opendiag.dictionary import Object, ObjectDictionary, ObjectType, Variable, load, parse
from opendiag.dictionary.datatypes import DataType, bit_width
from opendiag.dictionary.dbc import dbc_text
from opendiag.dictionary.dbc_render import Names
from opendiag.dictionary.dbc_signal import signal_of
from opendiag.frame import Frame
from opendiag.wire.emcy import Emcy
from opendiag.wire.heartbeat import ErrorControl
from opendiag.wire.nmt import NmtState

NODE = 101


def read_back(text):
    return cantools.database.load_string(text, "dbc")


def ours(dictionary, frame, node_id=NODE):
    """(index, sub-index) -> value in the dictionary's unit, of the mapped objects in a PDO."""
    records = Decoder({node_id: dictionary}).feed(frame)
    values = {(r.index, r.subindex): r.value if r.scaled is None else r.scaled for r in records if r.index is not None}
    return {key: int(value) if isinstance(value, bool) else value for key, value in values.items()}


def theirs(database, frame):
    """The same as cantools reads it; the comment of a signal says which object it is."""
    message = database.get_message_by_frame_id(frame.can_id)
    values = message.decode(frame.data, decode_choices=False)
    keys = {signal.name: re.match(r"([0-9A-F]{4}):([0-9A-F]{2})", signal.comment) for signal in message.signals}
    return {(int(keys[name][1], 16), int(keys[name][2], 16)): value for name, value in values.items()}


@pytest.mark.parametrize(
    ("can_id", "data"),
    [
        (0x180 + NODE, "370806"),
        (0x280 + NODE, "E47D5E0018FCFFFF"),
        (0x380 + NODE, "DB009CFF40E20100"),
        (0x480 + NODE, "F0160000"),
        (0x200 + NODE, "0F00FA"),
        (0x300 + NODE, "00F0FFFF10270000"),
    ],
)
def test_the_pdos_of_the_stepim(can_id, data):
    stepim, frame = load("stepim"), Frame(can_id, bytes.fromhex(data))
    expected = ours(stepim, frame)
    assert len(expected) >= 1
    assert theirs(read_back(dbc_text(stepim, NODE)), frame) == pytest.approx(expected)


def test_names_units_limits_and_words():
    database = read_back(dbc_text(load("stepim"), NODE))
    assert [node.name for node in database.nodes] == ["StepIM_101"]
    message = database.get_message_by_name("TPDO2_101")
    assert (message.frame_id, message.length, message.senders) == (0x280 + NODE, 8, ["StepIM_101"])
    velocity = message.get_signal_by_name("Velocity_Actual_Value")
    assert (velocity.unit, velocity.scale, velocity.is_signed) == ("rpm", 0.01, True)
    command = database.get_message_by_name("RPDO1_101")
    assert command.senders == []
    mode = command.get_signal_by_name("Modes_of_Operation")
    assert mode.receivers == ["StepIM_101"]
    assert mode.choices[6] == "homing (hm)"
    assert (mode.minimum, mode.maximum) == (-6, 8)


@pytest.mark.parametrize("node_id", [0, 128])
def test_a_node_id_that_is_none_is_refused(node_id):
    with pytest.raises(ValueError, match=f"node-ID {node_id} is outside 1..127"):
        dbc_text(load("stepim"), node_id)


def test_limits_of_a_signal_with_a_negative_factor():
    speed = Variable(0x2000, 0, "Speed", DataType.INTEGER16, "ro", low=-10, high=500, unit="rpm", factor=-0.5)
    signal = signal_of(speed, "Speed", 0, 16, Names())
    assert (signal.low, signal.high) == (-250, 5)


def test_other_services():
    database = read_back(dbc_text(load("stepim"), NODE))
    emcy = Emcy(0x8130, 0x11, bytes([1, 2, 3, 4, 5])).encode()
    decoded = database.decode_message(0x80 + NODE, emcy)
    assert str(decoded["EMCY_code"]) == "life guard error or heartbeat error"
    assert decoded["EMCY_register"] == 0x11
    assert decoded["EMCY_manufacturer"] == 0x0504030201
    decoded = database.decode_message(0x700 + NODE, ErrorControl(NmtState.OPERATIONAL).encode())
    assert (str(decoded["NMT_state"]), decoded["NMT_toggle"]) == ("OPERATIONAL", 0)
    assert str(database.decode_message(0, b"\x01\x65")["NMT_command"]) == "start (enter operational)"
    assert database.get_message_by_name("SYNC").frame_id == 0x80


# --- any mapping ---------------------------------------------------------------------------------------------------

TYPES = [each for each in DataType if bit_width(each) and each not in (DataType.TIME_OF_DAY, DataType.TIME_DIFFERENCE)]


def device(entries, cob_id=0x40000180 + NODE):
    """A device whose TPDO1 maps these (data type, bits, factor); the objects are 2000h, 2001h, ..."""
    made = ObjectDictionary("made")
    words = []
    for number, (data_type, bits, factor) in enumerate(entries):
        index = 0x2000 + number
        if data_type is not None:
            variable = Variable(index, 0, "Same name", data_type, "ro", unit="V", factor=factor)
            made.objects[index] = Object(index, "Same name", ObjectType.VAR, {0: variable})
        words.append(index << 16 | bits)
    put(made, 0x1800, [2, cob_id, 255])
    put(made, 0x1A00, [len(words), *words])
    return made


def put(dictionary, index, values):
    members = {sub: Variable(index, sub, str(sub), 7, "rw", default=value) for sub, value in enumerate(values)}
    dictionary.objects[index] = Object(index, "Record", ObjectType.RECORD, members)


@st.composite
def mappings(draw):
    entries, left = [], 64
    while left and len(entries) < 10:
        data_type = draw(st.sampled_from([*TYPES, None]))
        own = bit_width(data_type) if data_type is not None else None
        real = data_type in (DataType.REAL32, DataType.REAL64)
        bits = draw(st.just(own) if real else st.integers(1, left) | st.just(own or 8))
        if bits > left:
            break
        scaled = data_type not in (None, DataType.BOOLEAN)
        factor = draw(st.sampled_from([1.0, 0.5, 0.01, -2.0])) if scaled else 1.0
        entries.append((data_type, bits, factor))
        left -= bits
    return entries or [(DataType.UNSIGNED8, 8, 1.0)]


@given(mappings(), st.binary(min_size=8, max_size=8))
def test_any_mapping_is_read_alike(entries, data):
    dictionary = device(entries)
    frame = Frame(0x180 + NODE, data[: (sum(bits for _, bits, _ in entries) + 7) // 8])
    mine = ours(dictionary, frame)
    other = theirs(read_back(dbc_text(dictionary, NODE)), frame)
    assert list(other) == [(0x2000 + number, 0) for number in range(len(entries))]
    for key, value in other.items():
        if mine[key] is not None:  # opendiag says nothing about an object that no dictionary describes
            assert value == pytest.approx(mine[key], nan_ok=True, rel=1e-9)
        else:
            assert dictionary.get(*key) is None


# --- names and texts -----------------------------------------------------------------------------------------------


@given(st.lists(st.text(max_size=40), max_size=20))
def test_names_are_legal_and_unique(texts):
    names = Names()
    made = [names.unique(text) for text in texts]
    assert len({name.lower() for name in made}) == len(made)
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,31}", name) for name in made)


def test_texts_that_a_dbc_cannot_hold():
    made = device([(DataType.UNSIGNED8, 8, 1.0)])
    variable = Variable(0x2000, 0, 'Überdruck "A"\\ °C Ω', 5, "ro", unit='"°Ω', values={1: 'so "x"\n'})
    made.objects[0x2000].members[0] = variable
    made.device.product_name = "9 Ω BO_"
    text = dbc_text(made, NODE)
    text.encode("cp1252")
    database = read_back(text)
    signal = database.get_message_by_frame_id(0x180 + NODE).signals[0]
    assert (signal.name, signal.unit) == ("Uberdruck_A_C", "'°?")
    assert str(signal.choices[1]) == "so 'x'"


def test_what_cannot_be_in_it_is_named():
    made = device([(DataType.UNSIGNED8, 8, 1.0)])
    put(made, 0x1801, [2, 0x80000000, 255])
    put(made, 0x1A01, [1, 0x20000008])
    put(made, 0x1802, [2, 0x383, 255])
    put(made, 0x1803, [2, 0x384, 255])
    put(made, 0x1A03, [0xFE])
    put(made, 0x1804, [2, 0x385, 255])
    put(made, 0x1A04, [0])
    put(made, 0x1805, [2, 0x386, 255])
    put(made, 0x1A05, [2, 0x20000040, 0x20000040])
    put(made, 0x1806, [2, 0x180 + NODE, 255])
    put(made, 0x1A06, [1, 0x20000008])
    put(made, 0x1A07, [1, 0x20000008])
    text = dbc_text(made, NODE)
    comment = next(line for line in text.splitlines() if line.startswith('CM_ "'))
    assert "TPDO2 (not valid)" in comment
    assert "TPDO3 (mapping not known)" in comment
    assert "TPDO4 (multiplexed)" in comment
    assert "TPDO5 (nothing mapped)" in comment
    assert "TPDO6 (128 bits mapped)" in comment
    assert "TPDO8 (COB-ID not known)" in comment
    assert "TPDO7_101 has the CAN-ID of TPDO1_101 and is not here" in comment
    pdos = [message.name for message in read_back(text).messages if "PDO" in message.name]
    assert pdos == ["TPDO1_101"]


def test_a_gap_and_an_identifier_of_29_bits():
    made = device([(DataType.UNSIGNED8, 8, 1.0)], cob_id=0x20000000 | 0x1234567)
    put(made, 0x1A00, [2, 0x00050008, 0x20000008])
    message = read_back(dbc_text(made, NODE)).get_message_by_name("TPDO1_101")
    assert (message.frame_id, message.is_extended_frame) == (0x1234567, True)
    assert message.decode(b"\x11\x22") == {"Same_name": 0x22}


# --- SDO -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("can_id", "data", "expected"),
    [
        (0x580, "4B786000DB000000", {"Object": 0x6078, "Current_Actual_Value": 219}),
        (0x580, "43646000E47D5E00", {"Object": 0x6064, "Position_Actual_Internal_Value": 6192612}),
        (0x600, "2B40600006000000", {"Object": 0x6040, "Controlword": 6}),
        (0x600, "4064600000000000", {"Index": 0x6064, "Subindex": 0}),
        (0x580, "6040600000000000", {"Index": 0x6040, "Subindex": 0}),
        (0x580, "8040600000000206", {"Index": 0x6040, "Subindex": 0, "Abort_code": 0x06020000}),
        (0x580, "0161620000000000", {"Data": 0x6261}),
    ],
)
def test_sdo_frames(can_id, data, expected):
    """A request to read and an abort have no value in them."""
    database = read_back(dbc_text(load("stepim"), NODE, sdo=True))
    decoded = database.decode_message(can_id + NODE, bytes.fromhex(data), decode_choices=False)
    assert decoded.pop("Command") == int(data[:2], 16)
    assert decoded == expected


def test_sdo_only_when_asked_for():
    assert "SDO" not in dbc_text(load("stepim"), NODE)


# --- real files ----------------------------------------------------------------------------------------------------


@pytest.mark.corpus
def test_real_files_are_read_by_cantools_and_decode_alike(corpus):
    files = sorted(path for path in (corpus / "dictionaries").iterdir() if path.is_file())
    compared = 0
    for path in files:
        dictionary = load(path)
        node_id = dictionary.node_id or NODE
        database = read_back(dbc_text(dictionary, node_id))
        for message in database.messages:
            if "PDO" not in message.name or message.is_extended_frame or not message.signals:
                continue
            frame = Frame(message.frame_id, bytes(range(0x81, 0x81 + message.length)))
            mine = ours(dictionary, frame, node_id)
            for key, value in theirs(database, frame).items():
                if isinstance(mine.get(key), int | float):
                    assert value == pytest.approx(mine[key], nan_ok=True), (path.name, message.name, key)
                    compared += 1
    assert compared > 1000


def test_a_device_of_another_profile_gets_no_words_of_drives():
    text = "[1000]\nParameterName=Type\nDataType=7\nAccessType=ro\nDefaultValue=401\n"
    text += "[6060]\nParameterName=Mine\nDataType=2\nAccessType=rw\nPDOMapping=1\n"
    for profile, has_words in (("401", False), ("402", True)):
        made = parse(text.replace("401", profile), "x.eds")
        put(made, 0x1800, [2, 0x1E5, 255])
        put(made, 0x1A00, [1, 0x60600008])
        signal = read_back(dbc_text(made, NODE)).get_message_by_name("TPDO1_101").signals[0]
        assert bool(signal.choices) == has_words
