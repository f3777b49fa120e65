"""What people type becomes the bytes the dictionary means, or a sentence that says what it takes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.decode.values import value_text
from opendiag.dictionary import builtin
from opendiag.dictionary.datatypes import (
    BIT_WIDTHS,
    SIGNED_BITS,
    UNSIGNED_BITS,
    DataType,
    byte_width,
    decode_value,
    encode_value,
    integer_range,
)
from opendiag.dictionary.library import load
from opendiag.dictionary.model import NodeIdPlus, Variable
from opendiag.dictionary.value_text import parse_value
from opendiag.errors import ValueRefused

INTEGERS = [DataType(t) for t in (*SIGNED_BITS, *UNSIGNED_BITS)]


def variable(data_type: int = DataType.UNSIGNED16, **fields: object) -> Variable:
    return Variable(0x2000, 1, "Thing", data_type, "rw", **fields)


def standard(index: int, subindex: int = 0) -> Variable:
    found = builtin.get(index, subindex)
    assert found is not None
    return found


MODE, CONTROLWORD, MAX_CURRENT, POSITION = standard(0x6060), standard(0x6040), standard(0x6073), standard(0x607A)


def refused(text: str, target: Variable | None, **how: object) -> str:
    with pytest.raises(ValueRefused) as caught:
        parse_value(text, target, **how)
    return str(caught.value)


# -- numbers ------------------------------------------------------------------------------------------------------


@given(st.sampled_from(INTEGERS).flatmap(lambda t: st.tuples(st.just(t), st.integers(*integer_range(t)))))
def test_every_integer_in_every_notation(typed: tuple[DataType, int]) -> None:
    data_type, number = typed
    raw = encode_value(data_type, number)
    sign, size = "-" if number < 0 else "", abs(number)
    for text in (str(number), f"{number:_}", f" {sign}0x{size:X} ", f"{sign}0b{size:b}", f"{sign}0x{size:_x}"):
        assert parse_value(text, variable(data_type)) == raw
    name = f"{'i' if data_type in SIGNED_BITS else 'u'}{BIT_WIDTHS[data_type]}"
    if data_type != DataType.BOOLEAN:
        assert parse_value(f"{name}:{number}", None) == raw
        assert parse_value(f"{name}:{number}", variable(data_type)) == raw


@given(st.sampled_from(INTEGERS), st.integers(1, 10**30), st.booleans())
def test_what_the_type_cannot_hold_is_refused_even_by_force(data_type: DataType, by: int, above: bool) -> None:
    low, high = integer_range(data_type)
    number = high + by if above else low - by
    sentence = refused(str(number), variable(data_type, low=low, high=high), force=True)
    assert sentence == (f"2000:01 Thing: {number} is outside {low}..{high} of {data_type.name}; nothing was sent")


@given(
    st.sampled_from([DataType.REAL32, DataType.REAL64]).flatmap(
        lambda t: st.tuples(st.just(t), st.floats(width=BIT_WIDTHS[t], allow_nan=False, allow_infinity=False))
    )
)
def test_real_numbers(typed: tuple[DataType, float]) -> None:
    data_type, number = typed
    raw = encode_value(data_type, number)
    assert parse_value(repr(number), variable(data_type)) == raw
    assert parse_value(f"f{BIT_WIDTHS[data_type]}:{number!r}", None) == raw


def test_real_numbers_beyond() -> None:
    target = variable(DataType.REAL32)
    assert decode_value(DataType.REAL32, parse_value("0x10", target)) == 16
    assert decode_value(DataType.REAL32, parse_value("1_000.5", target)) == 1000.5
    assert decode_value(DataType.REAL32, parse_value("1.5 V", replace(target, unit="V", factor=0.5))) == 3
    assert "too large" in refused("1e39", target, force=True)
    assert "too large" in refused("1e400", target, force=True)
    assert "too large" in refused("1" + "0" * 400, target)
    assert "too large" in refused("9e999 V", replace(target, unit="V"))
    assert "no finite number (can be forced)" in refused("nan", target)
    assert math.isnan(decode_value(DataType.REAL32, parse_value("nan", target, force=True)))
    assert decode_value(DataType.REAL32, parse_value("-inf", target, force=True)) == -math.inf
    assert "expected a number such as 1.5" in refused("much", target)
    assert "expected a number such as 1.5" in refused("\u0661", target)


@pytest.mark.parametrize("text", ["0o17", "0O17", "-0o17"])
def test_octal_is_refused(text: str) -> None:
    assert "is octal" in refused(text, variable())


@pytest.mark.parametrize("text", ["017", "-017", "00_17"])
def test_what_may_be_octal_is_refused(text: str) -> None:
    assert "may be octal or decimal" in refused(text, variable(DataType.INTEGER16))


@pytest.mark.parametrize("text", ["", " ", "1.5", "1e3", "--5", "+-5", "0x", "0xG", "5_", "1 2", "\u0663", "9" * 5000])
def test_what_is_no_number(text: str) -> None:
    sentence = refused(text, variable())
    assert "is no UNSIGNED16: expected a whole number such as 20, 0x14 or 0b10100" in sentence or len(text) == 5000
    assert sentence.startswith("2000:01 Thing: ")
    assert sentence.endswith("; nothing was sent")


def test_hexadecimal_of_a_negative_number_is_not_guessed() -> None:
    assert "the same bits are -1" in refused("0xFFFFFFFF", POSITION)
    assert "the same bits" not in refused("4294967295", POSITION)
    assert "the same bits" not in refused("0x1FFFFFFFF", POSITION)


@pytest.mark.parametrize(("text", "raw"), [("true", 1), ("ON", 1), ("1", 1), ("false", 0), ("off", 0), ("0", 0)])
def test_boolean(text: str, raw: int) -> None:
    assert parse_value(text, variable(DataType.BOOLEAN)) == bytes([raw])


def test_boolean_refusals() -> None:
    assert "expected true or false (on or off, 1 or 0)" in refused("maybe", variable(DataType.BOOLEAN))
    assert "is no UNSIGNED16" in refused("true", variable())
    reversed_names = variable(DataType.BOOLEAN, values={0: "on", 1: "off"})
    assert parse_value("on", reversed_names) == b"\0", "the dictionary's own words come first"


# -- names --------------------------------------------------------------------------------------------------------


def named_standard_variables() -> list[Variable]:
    indices = [*range(0x1000, 0x1400), *range(0x6000, 0x6800), 0x6860]
    found = [builtin.get(index, sub) for index in indices for sub in range(4)]
    return [v for v in found if v is not None and (v.values or v.bits)]


def test_every_name_of_the_standards_is_understood() -> None:
    variables = named_standard_variables()
    assert len(variables) > 20
    for target in variables:
        for number, name in target.values.items():
            raw = encode_value(target.data_type, number)
            assert parse_value(name, target, force=True) == raw
            assert parse_value(name.upper().replace(" ", "_"), target, force=True) == raw
        for bit, name in target.bits.items():
            raw = (1 << bit).to_bytes(byte_width(target.data_type), "little")
            assert parse_value(name, target, force=True) == raw
            assert parse_value(f"bit {bit}", target, force=True) == raw


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("profile position", 1),
        ("PP", 1),
        ("profile p", 1),
        ("hom", 6),
        ("Cyclic Synchronous Torque", 10),
        ("cyclic synchronous torque with", 11),
        ("no_mode", 0),
        ("-3", -3),
    ],
)
def test_modes_by_name(text: str, number: int) -> None:
    assert parse_value(text, MODE) == encode_value(DataType.INTEGER8, number)


def test_a_name_that_fits_several_is_refused() -> None:
    assert refused("profile", MODE).startswith(
        "6060:00 Modes of operation: 'profile' may be 1 'profile position (pp)', 3 'profile velocity (pv)', "
        "4 'profile torque (tq)': write more of it, or the number"
    )
    assert "may be" in refused("a", variable(values={1: "a", 2: "A"}))
    assert parse_value("a", variable(values={1: "a", 2: "ab"})) == b"\x01\0", "the whole name comes first"


def test_an_unknown_name_lists_the_known_ones() -> None:
    sentence = refused("sideways", MODE)
    assert "0 'no mode', 1 'profile position (pp)'" in sentence
    many = refused("x", variable(values={n: f"value {n}" for n in range(40)}))
    assert many.endswith("11 'value 11' and 28 more; nothing was sent")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("halt", 0x100),
        ("halt + fault reset", 0x180),
        ("switch on|enable v|quick stop|enable op", 0x0F),
        ("bit 4+bit5", 0x30),
        ("BIT 15 + halt + halt", 0x8100),
        ("manufacturer specific bit 15", 0x8000),
    ],
)
def test_bits_by_name(text: str, word: int) -> None:
    assert parse_value(text, CONTROLWORD) == encode_value(DataType.UNSIGNED16, word)


def test_bits_beyond() -> None:
    assert parse_value("bit 15 + bit 0", variable(DataType.INTEGER16)) == b"\x01\x80"
    assert parse_value("a + b", variable(bits={3: "a + b", 0: "a", 1: "b"})) == b"\x08\0", "the whole name first"
    assert "UNSIGNED16 has the bits 0..15, not bit 16" in refused("bit 16", CONTROLWORD)
    assert "bits joined by +, of 0 'switch on'" in refused("halt +", CONTROLWORD)
    assert "is no UNSIGNED16" in refused("halt + 1", CONTROLWORD)
    assert "may be" in refused("halt + operation", CONTROLWORD)


# -- units --------------------------------------------------------------------------------------------------------

TURNS = variable(DataType.INTEGER32, unit="counts", alt_unit="rev", alt_factor=1 / 4096)


@pytest.mark.parametrize(
    ("text", "target", "raw"),
    [
        ("21.9 % of rated current", MAX_CURRENT, 219),
        ("21.9 %", MAX_CURRENT, 219),
        ("21.9%", MAX_CURRENT, 219),
        ("219", MAX_CURRENT, 219),
        ("21.93 %", MAX_CURRENT, 219),
        ("21.9500001 %", MAX_CURRENT, 220),
        ("1.5 rev", TURNS, 6144),
        ("-1.5e0rev", TURNS, -6144),
        ("1_000 rev", TURNS, 4_096_000),
        (".5 rev", TURNS, 2048),
        ("-7 counts", TURNS, -7),
        ("219 mA", standard(0x6075), 219),
        ("100 ms", variable(unit="0.1 ms"), 1000),
        ("1000 0.1 ms", variable(unit="0.1 ms"), 1000),
        ("12 us", variable(unit="\u00b5s"), 12),
        ("12 \u03bcs", variable(unit="\u00b5s"), 12),
        ("2 turns", variable(unit="turns", values={7: "2 turns"}), 7),
    ],
)
def test_a_number_with_a_unit(text: str, target: Variable, raw: int) -> None:
    assert parse_value(text, target) == encode_value(target.data_type, raw)


@given(st.integers(-(2**31), 2**31 - 1), st.sampled_from([0.1, 0.01, 0.001, 1 / 4096, 0.0439453125, 3.0, 1000.0]))
def test_every_raw_number_is_reached_by_its_physical_value(raw: int, factor: float) -> None:
    target = variable(DataType.INTEGER32, unit="V", factor=factor)
    assert parse_value(f"{raw * factor:.17g} V", target) == encode_value(DataType.INTEGER32, raw)


def test_units_that_are_refused() -> None:
    assert "halfway between the raw numbers 219 and 220" in refused("21.95 %", MAX_CURRENT)
    assert "a number with its unit (% of rated current)" in refused("219 mA", MAX_CURRENT)
    assert "a number with its unit (counts or rev)" in refused("1.5 REV", TURNS)
    assert "outside -2147483648..2147483647" in refused("1e9 rev", TURNS)
    two = variable(unit="% of this", factor=0.1, alt_unit="% of that", alt_factor=0.2)
    assert "fits more than one unit: it takes % of this and % of that" in refused("5 %", two)
    for broken in (0.0, math.inf, math.nan):
        assert "is no UNSIGNED16" in refused("5 V", variable(unit="V", factor=broken))
    assert "is no UNSIGNED16" in refused("1e999999999 V", variable(unit="V"))
    assert "is no UNSIGNED16" in refused(f"{'9' * 5000} V", variable(unit="V"))


# -- text, times and bytes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        ("StepIM", b"StepIM"),
        ("", b""),
        (" a ", b" a "),
        ('"quoted text"', b"quoted text"),
        ("'", b"'"),
        ("a\\n\\t\\r\\0\\\\\\x41\\xe9", b"a\n\t\r\0\\A\xe9"),
        ("u16:5", b"u16:5"),
        ("@home", b"@home"),
    ],
)
def test_visible_string(text: str, raw: bytes) -> None:
    assert parse_value(text, variable(DataType.VISIBLE_STRING)) == raw


@given(st.text(st.characters(max_codepoint=255)))
def test_a_string_as_it_is_shown_is_taken(text: str) -> None:
    raw = text.encode("latin-1")
    assert parse_value(repr(text), variable(DataType.VISIBLE_STRING)) == raw


def test_strings_beyond() -> None:
    assert parse_value("\\u20ac\u20ac", variable(DataType.UNICODE_STRING)) == "\u20ac\u20ac".encode("utf-16-le")
    assert "VISIBLE_STRING cannot hold '\u20ac'" in refused("\u20ac", variable(DataType.VISIBLE_STRING))
    assert "which means nothing" in refused("C:\\quit", variable(DataType.VISIBLE_STRING))
    assert "which means nothing" in refused("a\\", variable(DataType.VISIBLE_STRING))
    assert parse_value("str:a b", None) == b"a b"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-02-03T04:05:06.789", "2026-02-03T04:05:06.789"),
        (" 1984-01-01 00:00:00 ", "1984-01-01T00:00:00.000"),
    ],
)
def test_time_of_day(text: str, shown: str) -> None:
    raw = parse_value(text, variable(DataType.TIME_OF_DAY))
    assert decode_value(DataType.TIME_OF_DAY, raw) == shown


def test_times_beyond() -> None:
    assert decode_value(DataType.TIME_DIFFERENCE, parse_value("P1DT1.5S", variable(DataType.TIME_DIFFERENCE)))
    assert "takes text such as 1984-01-02T00:00:01.500" in refused("noon", variable(DataType.TIME_OF_DAY))
    assert "16 bits of days" in refused("1983-12-31T00:00:00.000", variable(DataType.TIME_OF_DAY))


@pytest.mark.parametrize("data_type", [DataType.DOMAIN, DataType.OCTET_STRING, 0x40])
@pytest.mark.parametrize("text", ["01 02 ff", "0102FF", "01:02:ff", "0x01 0x02 0xff", " 01,02, ff ", "hex:01 02 ff"])
def test_bytes(text: str, data_type: int) -> None:
    assert parse_value(text, variable(data_type)) == b"\x01\x02\xff"


@given(st.binary(min_size=1, max_size=24))
def test_bytes_as_they_are_shown_are_taken(raw: bytes) -> None:
    assert parse_value(value_text(raw, raw, False), variable(DataType.DOMAIN)) == raw
    assert parse_value(f"hex:{raw.hex()}", None) == raw


@pytest.mark.parametrize("text", ["", "1", "01 2", "0g", "0x", "hex:", "file.bin"])
def test_what_is_no_bytes(text: str) -> None:
    sentence = refused(text, variable(DataType.DOMAIN))
    assert "expected whole bytes, as in 01 02 ff, or @file" in sentence


def read_file(name: str) -> bytes:
    if name != "here.bin":
        raise FileNotFoundError(2, "No such file or directory", name)
    return b"\0\1"


def test_files() -> None:
    target = variable(DataType.DOMAIN)
    assert parse_value("@here.bin", target, read_file=read_file) == b"\0\1"
    assert parse_value("@here.bin", None, read_file=read_file) == b"\0\1"
    assert "cannot read gone.bin: no such file or directory" in refused("@gone.bin", target, read_file=read_file)
    assert "@ names no file" in refused("@", target, read_file=read_file)
    assert "files are not read here" in refused("@here.bin", target)


# -- rights and limits --------------------------------------------------------------------------------------------


def test_limits() -> None:
    target = variable(low=3, high=NodeIdPlus(10))
    assert parse_value("15", target, node_id=5) == b"\x0f\0"
    sentence = refused("16", target, node_id=5)
    assert sentence == (
        "2000:01 Thing: 16 is above its upper limit 15 (allowed: 3..15) (can be forced); nothing was sent"
    )
    assert parse_value("16", target, node_id=5, force=True) == b"\x10\0"
    assert parse_value("16", target) == b"\x10\0", "a limit that nobody knows is none"
    assert "below its lower limit 3" in refused("2", target)
    assert "above its upper limit 7" in refused("8", variable(high=7))
    assert "above its upper limit 1.5" in refused("2", variable(DataType.REAL32, high=1.5))
    assert "allowed: 3..15" in refused("u16:2", target, node_id=5), "a type in front does not go round limits"


@pytest.mark.parametrize(("access", "kind"), [("ro", "read-only"), ("const", "a constant")])
def test_read_only(access: str, kind: str) -> None:
    target = replace(variable(), access=access)
    assert f"{kind} according to its EDS (can be forced)" in refused("1", target)
    assert parse_value("1", target, force=True) == b"\1\0"


@pytest.mark.parametrize("access", ["rw", "wo", "rww", "rwr", ""])
def test_writable(access: str) -> None:
    assert parse_value("1", replace(variable(), access=access)) == b"\1\0"


# -- without a dictionary -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["551", "0x10", "abc", "u17:1", "i16", ""])
def test_without_a_type_nothing_is_guessed(text: str) -> None:
    sentence = refused(text, None, what="2F00:00")
    assert sentence.startswith("2F00:00: no dictionary tells the type")
    assert "u16:551, i32:-5, f32:1.5, str:text, hex:27 02 or @file" in sentence


def test_a_type_that_is_not_the_dictionarys() -> None:
    assert "'u32:4' has 4 bytes where UNSIGNED16 has 2" in refused("u32:4", CONTROLWORD, force=True)
    assert "outside 0..255 of UNSIGNED8" in refused("u8:256", None)


def test_the_caller_names_the_object() -> None:
    assert refused("x", variable(), what="node 101 thing").startswith("node 101 thing: 'x' is no UNSIGNED16")
    assert len(refused("x" * 5000, variable())) < 300


@given(st.sampled_from([*load("stepim").variables()]), st.text(max_size=12))
def test_any_text_gives_bytes_of_the_type_or_a_sentence(target: Variable, text: str) -> None:
    try:
        raw = parse_value(text, target, node_id=101, force=True)
    except ValueRefused as error:
        assert str(error).startswith(f"{target.text} {target.name}: ")
    else:
        assert byte_width(target.data_type) in (None, len(raw))


def test_a_physical_value_is_not_rounded_away() -> None:
    speed = replace(variable(), data_type=DataType.UNSIGNED32, unit="rpm", factor=0.01, low=None, high=None)
    assert parse_value("33.333 rpm", speed) == (3333).to_bytes(4, "little")
    with pytest.raises(ValueRefused, match=r"is 0\.1 raw units, which are whole: write 0 if that will do"):
        parse_value("0.001 rpm", speed)


@pytest.mark.parametrize(("index", "word", "raw"), [(0x1010, "save", b"save"), (0x1011, "LOAD", b"load")])
def test_the_signatures_of_storing_and_restoring_are_words(index: int, word: str, raw: bytes) -> None:
    target = replace(variable(), index=index, subindex=1, data_type=DataType.UNSIGNED32, low=None, high=None)
    assert parse_value(word, target) == raw
