"""From bytes to words: types, units, states, bits, and the objects whose numbers need more than a number."""

import pytest
from devices import dictionary, u32
from hypothesis import given
from hypothesis import strategies as st

from opendiag.decode.node_view import NodeView
from opendiag.decode.values import axis_of, guesses, hex_text, interpret, is_hex, said, value_text
from opendiag.dictionary.datatypes import BIT_WIDTHS, DataType
from opendiag.dictionary.library import load

STEPIM = NodeView(101, load("stepim"))


def plain():
    return NodeView(5)


def typed(data_type, **options):
    return NodeView(5, dictionary({(0x2000, 0): {"data_type": data_type, **options}}))


def of_profile(number):
    node = plain()
    node.learn(0x1000, 0, u32(number), written=False)
    return node


# --- types and lengths ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data_type", "raw", "value"),
    [
        (DataType.BOOLEAN, b"\1", True),
        (DataType.INTEGER8, b"\xff", -1),
        (DataType.UNSIGNED8, b"\xff", 255),
        (DataType.INTEGER24, b"\xfe\xff\xff", -2),
        (DataType.UNSIGNED32, b"\xf0\x16\0\0", 5872),
        (DataType.INTEGER64, b"\xff" * 8, -1),
        (DataType.REAL32, bytes.fromhex("0000c03f"), 1.5),
        (DataType.VISIBLE_STRING, b"StepIM\0", "StepIM"),
        (DataType.VISIBLE_STRING, b"", ""),
        (DataType.OCTET_STRING, b"\0\1", b"\0\1"),
        (DataType.DOMAIN, b"\0\1", b"\0\1"),
        (0x0040, b"\0\1", b"\0\1"),
    ],
)
def test_a_value_by_its_type(data_type, raw, value):
    meaning = interpret(typed(data_type), 0x2000, 0, raw)
    assert (meaning.value, type(meaning.value), meaning.flags) == (value, type(value), ())
    assert meaning.names_from == "eds:made"


@pytest.mark.parametrize("data_type", [t for t in BIT_WIDTHS if BIT_WIDTHS[t] <= 64])
def test_another_length_than_the_types_is_no_value(data_type):
    width = (BIT_WIDTHS[data_type] + 7) // 8
    for length in range(10):
        meaning = interpret(typed(data_type), 0x2000, 0, bytes(length))
        if length == width:
            assert meaning.value is not None and not meaning.flags
        else:
            assert meaning.value is None and meaning.flags == ("length-mismatch",)
            plural = "" if length == 1 else "s"
            assert f"{length} byte{plural} where" in meaning.text


@given(st.sampled_from([*BIT_WIDTHS, 0x40, DataType.VISIBLE_STRING]), st.integers(1, 255), st.data())
def test_a_value_is_made_of_its_own_bits(data_type, bits, data):
    """In a PDO an integer may have any width; everything else has its type's width or no value."""
    number = data.draw(st.integers(0, (1 << bits) - 1))
    raw = number.to_bytes((bits + 7) // 8, "little")
    meaning = interpret(typed(data_type), 0x2000, 0, raw, bits)
    if isinstance(meaning.value, (bool, int)):
        assert meaning.value % (1 << bits) == number
        assert ("mapped-width" in meaning.flags) == (bits != BIT_WIDTHS[data_type])
    elif meaning.value is None:
        assert meaning.flags == ("length-mismatch",) and bits != BIT_WIDTHS[data_type]
    else:
        assert BIT_WIDTHS.get(data_type) in (bits, None)


def test_an_object_that_nobody_knows():
    meaning = interpret(plain(), 0x2000, 0, b"\xff\xff")
    assert (meaning.value, meaning.name, meaning.type, meaning.names_from) == (None, None, None, None)
    assert meaning.flags == ("not-in-dictionary",) and meaning.text == "as u16: 65535, as i16: -1"


# --- units ---------------------------------------------------------------------------------------------------------


def test_units_of_the_dictionary():
    current = interpret(STEPIM, 0x6078, 0, b"\xdb\0")
    assert (current.value, current.scaled, current.unit, current.text) == (219, None, "mA", "")
    velocity = interpret(STEPIM, 0x606C, 0, u32(12345))
    assert (velocity.value, velocity.unit, velocity.text) == (12345, "rpm", "= 123.45 rpm")
    assert velocity.scaled == pytest.approx(123.45)
    position = interpret(STEPIM, 0x6064, 0, u32(6192612))
    assert (position.scaled, position.unit) == (None, "counts")
    assert position.text == "= 1511.868164 rev (4096 counts per rev)"


def test_units_of_the_profile():
    assert interpret(plain(), 0x6078, 0, b"\xdb\0").text == "= 21.9 % of rated current"


def test_a_unit_with_an_odd_factor_and_a_second_view():
    node = typed(DataType.UNSIGNED16, unit="V", factor=0.1, alt_unit="%", alt_factor=0.3)
    assert interpret(node, 0x2000, 0, b"\x0a\0").text == "= 1 V = 3 %"


def test_a_factor_of_zero_does_no_harm():
    node = typed(DataType.UNSIGNED16, unit="V", alt_unit="%", alt_factor=0.0)
    assert interpret(node, 0x2000, 0, b"\x0a\0").text == "= 0 %"


# --- drives --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "state"),
    [
        (0x0000, "NOT_READY_TO_SWITCH_ON"),
        (0x0240, "SWITCH_ON_DISABLED"),
        (0x0231, "READY_TO_SWITCH_ON"),
        (0x0233, "SWITCHED_ON"),
        (0x0237, "OPERATION_ENABLED"),
        (0x0227, "OPERATION_ENABLED"),
        (0x0217, "QUICK_STOP_ACTIVE"),
        (0x021F, "FAULT_REACTION_ACTIVE"),
        (0x0218, "FAULT"),
        (0x0001, None),
    ],
)
def test_statusword(word, state):
    meaning = interpret(plain(), 0x6041, 0, word.to_bytes(2, "little"))
    assert (meaning.state, meaning.value) == (state, word)
    head = state.replace("_", " ") if state else "no valid PDS state"
    assert meaning.text.split("; ")[0] == head


def test_statusword_bits_depend_on_the_mode():
    node = plain()
    assert "operation mode specific bit 12" in interpret(node, 0x6041, 0, b"\x37\x12").bits
    node.learn(0x6061, 0, b"\x06", written=False)
    assert "homing attained" in interpret(node, 0x6041, 0, b"\x37\x12").bits


def test_the_second_axis_has_its_own_mode():
    node = plain()
    node.learn(0x6861, 0, b"\x06", written=False)
    assert "homing attained" in interpret(node, 0x6841, 0, b"\x37\x12").bits
    assert "homing attained" not in interpret(node, 0x6041, 0, b"\x37\x12").bits
    assert interpret(node, 0x6841, 0, b"\x37\x12").state == "OPERATION_ENABLED"


@pytest.mark.parametrize(
    ("word", "text"),
    [(0x0006, "shutdown"), (0x0007, "switch on"), (0x000F, "enable operation"), (0x0000, "disable voltage")],
)
def test_controlword(word, text):
    meaning = interpret(plain(), 0x6040, 0, word.to_bytes(2, "little"))
    assert meaning.state is None and meaning.text == text


def test_controlword_bits_depend_on_the_mode():
    node = plain()
    node.learn(0x6060, 0, b"\x01", written=True)
    meaning = interpret(node, 0x6040, 0, b"\x5f\0")
    assert meaning.text == "enable operation; new set-point, relative"
    assert meaning.bits == ("new set-point", "relative")


def test_an_error_code_in_the_words_of_the_vendor():
    assert interpret(plain(), 0x603F, 0, b"\x20\x31").text == "mains under-voltage"
    assert interpret(STEPIM, 0x603F, 0, b"\x20\x31").text == "under-voltage"


@pytest.mark.parametrize("index", [0x603F, 0x6040, 0x6041, 0x6060, 0x6064, 0x6841])
def test_no_drive_words_for_a_device_of_another_profile(index):
    meaning = interpret(of_profile(401), index, 0, b"\x27\x02")
    assert (meaning.name, meaning.state, meaning.bits, meaning.value) == (None, None, (), None)
    assert meaning.flags == ("not-in-dictionary",)


def test_no_drive_words_even_where_the_dictionary_has_the_object():
    node = NodeView(5, dictionary({(0x1000, 0): 401, (0x6041, 0): {"data_type": DataType.UNSIGNED16}}))
    meaning = interpret(node, 0x6041, 0, b"\x27\x02")
    assert (meaning.value, meaning.state, meaning.bits, meaning.text) == (0x227, None, (), "")


def test_words_follow_what_becomes_known_of_the_device():
    """The same bytes again, after the vendor, a dictionary or the profile was learned."""
    node = plain()
    assert interpret(node, 0x603F, 0, b"\x20\x31").text == "mains under-voltage"
    node.learn(0x1018, 1, u32(0x2E1), written=False)
    assert interpret(node, 0x603F, 0, b"\x20\x31").text == "under-voltage"
    assert interpret(node, 0x1003, 1, u32(0x3120)).text == "3120h under-voltage"
    node.use(dictionary({(0x603F, 0): {"data_type": DataType.UNSIGNED16, "name": "Mine"}}))
    assert interpret(node, 0x603F, 0, b"\x20\x31").name == "Mine"
    assert interpret(node, 0x6041, 0, b"\x27\2").state == "OPERATION_ENABLED"
    node.learn(0x1000, 0, u32(401), written=False)
    assert interpret(node, 0x6041, 0, b"\x27\2").state is None
    assert interpret(node, 0x603F, 0, b"\x20\x31").text == ""


def test_words_do_not_depend_on_how_much_was_said_before():
    node = plain()
    for number in range(10_050):
        assert interpret(node, 0x1017, 0, number.to_bytes(2, "little")).value == number
    assert interpret(node, 0x1017, 0, b"\0\0").value == 0 and len(node.meanings) <= 10_000


# --- communication objects -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("index", "subindex", "raw", "text"),
    [
        (0x1000, 0, u32(0x0002_0192), "device profile 402"),
        (0x1000, 0, u32(0), "no standard profile"),
        (0x1003, 1, u32(0), "no error"),
        (0x1003, 1, u32(0x0007_8130), "8130h life guard error or heartbeat error, additional information 0007h"),
        (0x1005, 0, u32(0x4000_0080), "CAN-ID 080, produces SYNC"),
        (0x1005, 0, u32(0x80), "CAN-ID 080, does not produce SYNC"),
        (0x1012, 0, u32(0x4000_0100), "CAN-ID 100, produces TIME"),
        (0x1014, 0, u32(0x85), "CAN-ID 085, valid"),
        (0x1014, 0, u32(0x8000_0085), "CAN-ID 085, not valid"),
        (0x1016, 1, u32(0x0005_01F4), "expects a heartbeat of node 5 within 500 ms"),
        (0x1016, 1, u32(0x0000_01F4), "not used"),
        (0x1016, 1, u32(0x0005_0000), "not used"),
        (0x1016, 1, u32(0x0080_01F4), "not used"),
        (0x1200, 1, u32(0x605), "CAN-ID 605, valid"),
        (0x1280, 2, u32(0x8000_0000), "no CAN-ID set"),
        (0x1800, 1, u32(0x2000_0000 | 0x1ABCDEF), "CAN-ID 01ABCDEF, valid"),
        (0x1800, 1, u32(0x8000_0185), "CAN-ID 185, not valid"),
        (0x1400, 2, b"\0", "synchronous, acyclic"),
        (0x1400, 2, b"\1", "synchronous, every SYNC"),
        (0x1400, 2, b"\xf0", "synchronous, every 240 SYNCs"),
        (0x1400, 2, b"\xf1", ""),
        (0x1400, 2, b"\xfc", "on remote request, sampled at SYNC"),
        (0x1400, 2, b"\xfd", "on remote request"),
        (0x1400, 2, b"\xfe", "event driven (manufacturer)"),
        (0x1400, 2, b"\xff", "event driven (profile)"),
        (0x1600, 1, u32(0x6040_0010), "6040:00 Controlword, 16 bits"),
        (0x1A00, 1, u32(0x2000_0108), "2000:01 not in the dictionary, 8 bits"),
        (0x1A00, 1, u32(0x0005_0008), "0005:00 dummy, 8 bits"),
        (0x1A00, 1, u32(0), "empty slot"),
        (0x127F, 1, u32(0x6E1), "CAN-ID 6E1, valid"),
        (0x12FF, 1, u32(0x6E1), "CAN-ID 6E1, valid"),
        (0x15FF, 1, u32(0x6E1), "CAN-ID 6E1, valid"),
        (0x19FF, 1, u32(0x6E1), "CAN-ID 6E1, valid"),
        (0x17FF, 1, u32(0), "empty slot"),
        (0x1BFF, 1, u32(0), "empty slot"),
        (0x1010, 1, b"save", 'signature "save": store parameters'),
        (0x1011, 1, b"load", 'signature "load": restore defaults'),
        (0x1010, 1, u32(1), "on command"),
        (0x1010, 1, u32(0), ""),
    ],
)
def test_communication_objects(index, subindex, raw, text):
    meaning = interpret(plain(), index, subindex, raw)
    assert meaning.text == text and meaning.value is not None and not meaning.flags


@pytest.mark.parametrize("data_type", [DataType.INTEGER8, DataType.INTEGER64, DataType.UNSIGNED64, DataType.REAL64])
@pytest.mark.parametrize(
    ("index", "subindex"),
    [
        (0x1000, 0),
        (0x1003, 1),
        (0x1005, 0),
        (0x1010, 1),
        (0x1016, 1),
        (0x1200, 1),
        (0x1800, 2),
        (0x1A00, 1),
        (0x6041, 0),
    ],
)
def test_a_dictionary_with_other_types_than_the_standard_does_no_harm(index, subindex, data_type):
    node = NodeView(5, dictionary({(index, subindex): {"data_type": data_type}}))
    for byte in (b"\0", b"\x80", b"\xff"):
        raw = byte * (BIT_WIDTHS[data_type] // 8)
        assert interpret(node, index, subindex, raw).value is not None


# --- bits and names of the dictionary ------------------------------------------------------------------------------


def test_names_of_values_and_of_bits():
    node = typed(DataType.UNSIGNED8, values={0: "off", 1: "on"})
    assert interpret(node, 0x2000, 0, b"\1").text == "on"
    assert interpret(node, 0x2000, 0, b"\2").text == ""
    node = typed(DataType.UNSIGNED8, bits={0: "one", 7: "eight"})
    assert interpret(node, 0x2000, 0, b"\x81").bits == ("one", "eight")
    assert interpret(node, 0x2000, 0, b"\x81").text == "one, eight"
    assert interpret(node, 0x2000, 0, b"\0").text == "no bit set"


# --- plain helpers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "bits", "text"),
    [
        (b"", None, ""),
        (b"\x05", None, "as i8: 5"),
        (b"\xff", None, "as u8: 255, as i8: -1"),
        (b"\xf0\x16\0\0", None, "as i32: 5872"),
        (b"\0\0\0", None, ""),
        (b"abc", None, "as text: 'abc'"),
        (b"\xff" * 8, None, "as u64: 18446744073709551615, as i64: -1"),
        (b"\x0f", 4, "as u4: 15, as i4: -1"),
        (b"\x07", 4, "as i4: 7"),
        (b"\xff\x0f\0", 20, "as i20: 4095"),
        (b"\xff\xff", 16, "as u16: 65535, as i16: -1"),
    ],
)
def test_guesses(raw, bits, text):
    assert guesses(raw, bits) == text


@pytest.mark.parametrize(
    ("value", "raw", "hexadecimal", "text"),
    [
        (True, b"\1", False, "true"),
        (False, b"\0", False, "false"),
        (5872, b"\xf0\x16", False, "5872"),
        (-1, b"\xff", False, "-1"),
        (-1, b"\xff", True, "0xFF"),
        (0x227, b"\x27\2", True, "0x0227"),
        (737, u32(737), True, "0x000002E1"),
        (1.5, bytes(4), False, "1.5"),
        ("StepIM", b"", False, "'StepIM'"),
        (b"\1\2", b"\1\2", False, "01 02"),
    ],
)
def test_value_text(value, raw, hexadecimal, text):
    assert value_text(value, raw, hexadecimal) == text
    assert value_text(value, raw, hexadecimal, "mA") == f"{text} mA"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1000:00 1003:01 1005:00 1010:01 1014:00 1018:04 1200:01 1280:02 1400:01 1600:01 1800:01 1A00:40", True),
        ("6041:00 6840:00 603F:00", True),
        ("1001:00 1003:00 1017:00 1018:00 1200:00 1280:03 1400:02 1600:00 1800:05 1A00:00 2000:00 6064:00", False),
    ],
)
def test_identifiers_codes_and_words_are_hexadecimal(text, expected):
    for where in text.split():
        index, subindex = (int(part, 16) for part in where.split(":"))
        assert is_hex(index, subindex) is expected, where


@pytest.mark.parametrize(
    ("index", "raw", "text"),
    [
        (0x6078, b"\xdb\0", "219 mA"),
        (0x606C, u32(12345), "12345 = 123.45 rpm"),
        (0x6064, u32(6192612), "6192612 counts = 1511.868164 rev (4096 counts per rev)"),
        (0x6060, b"\1", "1: profile position (pp)"),
        (0x6078, b"\xdb", "DB: 1 byte where INTEGER16 has 2"),
        (0x60FA, u32(5872), "5872"),
    ],
)
def test_said(index, raw, text):
    assert said(STEPIM, index, 0, raw) == text


@pytest.mark.parametrize(("index", "axis"), [(0x6041, 0), (0x6841, 1), (0x9FFF, 7), (0x2000, 0), (0xA000, 0)])
def test_axis_of(index, axis):
    assert axis_of(index) == axis


def test_long_bytes_are_cut_and_say_so():
    assert hex_text(bytes(24)) == " ".join(["00"] * 24)
    assert hex_text(bytes(25)) == " ".join(["00"] * 24) + " .. (25 bytes)"


@given(st.sampled_from([STEPIM, plain()]), st.integers(0, 0xFFFF), st.integers(0, 255), st.binary(max_size=12))
def test_interpret_never_raises(node, index, subindex, raw):
    meaning = interpret(node, index, subindex, raw)
    assert meaning.value is None or not {"length-mismatch", "not-in-dictionary"} & set(meaning.flags)


def test_a_homing_method_in_words():
    assert said(NodeView(5), 0x6098, 0, b"\xfd") == "-3: manufacturer specific homing method"
    assert said(NodeView(5), 0x6098, 0, b"\x25") == "37: current position"


def test_a_bit_without_a_name_has_its_number():
    assert interpret(NodeView(5), 0x60FD, 0, u32(0x10001)).bits == ("negative limit switch", "bit 16")
