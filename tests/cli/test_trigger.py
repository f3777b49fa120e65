"""Trigger expressions: what they are true for, and what they refuse at once because it would never fire."""

from __future__ import annotations

import operator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.cli.trigger import TriggerError, compile_trigger
from opendiag.cli.trigger_names import NAMES
from opendiag.decode.decoder import Decoder
from opendiag.decode.records import Record
from opendiag.dictionary.library import load
from opendiag.frame import Frame
from opendiag.logs import parse_line

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "record-a-fault.md"


def decoded(*lines: str) -> list[Record]:
    decoder = Decoder({101: load("stepim")})
    records = [record for line in lines for record in decoder.feed(parse_line(line))]
    return records + decoder.finish()


def one(*lines: str) -> Record:
    (record,) = decoded(*lines)
    return record


STATUS_FAULT = one("665#4041600000000000", "5E5#4B41600008020000")
STATUS_ENABLED = one("665#4041600000000000", "5E5#4B41600027020000")
VELOCITY = one("665#406C600000000000", "5E5#436C6000C8000000")
CURRENT = one("665#4078600000000000", "5E5#4B786000DB000000")
MODE_WRITE = one("665#2F60600006000000", "5E5#6060600000000000")
MODE_REFUSED = one("665#2F60600006000000", "5E5#8060600022000008")
CONTROLWORD = one("665#2B4060008F010000", "5E5#6040600000000000")
NAME_READ = one("665#4008100000000000", "5E5#4308100053746570")
UNANSWERED = one("665#406C600000000000")
EMCY = one("0E5#2032010000000000")
EMCY_RESET = one("0E5#0000000000000000")
HEARTBEAT = one("765#05")
STOPPED = one("765#04")
BOOT_UP = one("765#00")
STOP = one("000#0265")
SYNC = one("080#")
TPDO = one("4E5#F0160000")
ALL = [
    *(STATUS_FAULT, STATUS_ENABLED, VELOCITY, CURRENT, MODE_WRITE, MODE_REFUSED, CONTROLWORD, NAME_READ, UNANSWERED),
    *(EMCY, EMCY_RESET, HEARTBEAT, STOPPED, BOOT_UP, STOP, SYNC, TPDO),
]
ERROR = Decoder().feed(Frame(0x08, bytes(8), error=True))[0]


@pytest.mark.parametrize(
    ("text", "fires_for"),
    [
        ("state==FAULT", [STATUS_FAULT]),
        ("state == 'operation enabled'", [STATUS_ENABLED]),
        ("state==operation_enabled or state==Operation-Enabled", [STATUS_ENABLED]),
        ("state==stopped", [STOPPED]),
        ("6041.state==FAULT", [STATUS_FAULT]),
        ("6041.fault", [STATUS_FAULT]),
        ("6041.FAULT == 0", [STATUS_ENABLED]),
        ("6041.bit3", [STATUS_FAULT]),
        ("6041:00.remote", [STATUS_FAULT, STATUS_ENABLED]),
        ("6041:01", []),
        ("6041", [STATUS_FAULT, STATUS_ENABLED]),
        ("6041 == 0x227", [STATUS_ENABLED]),
        ("6041 == 551", [STATUS_ENABLED]),
        ("6041 == 0227h", [STATUS_ENABLED]),
        ("6041 != 551", [STATUS_FAULT]),
        ("6040.fault_reset", [CONTROLWORD]),
        ("606C > 100", [VELOCITY]),
        ("606C>100", [VELOCITY]),
        ("606C > -5 and 606C >= 200 and 606C <= 200 and 606C < 200.5", [VELOCITY]),
        ("606C < 200", []),
        ("606C", [VELOCITY, UNANSWERED]),
        ("node==101 and 6078 > 200", [CURRENT]),
        ("6078.value == 219", [CURRENT]),
        ("6060 == homing", [MODE_WRITE]),
        ("6060 == 6", [MODE_WRITE]),
        ("6060", [MODE_WRITE, MODE_REFUSED]),
        ("1008 == 'step'", [NAME_READ]),
        ("value == 'Step'", [NAME_READ]),
        ("name == 'modes_of_operation'", [MODE_WRITE, MODE_REFUSED]),
        ("abort", [MODE_REFUSED]),
        ("abort==0x08000022", [MODE_REFUSED]),
        ("abort == 1", []),
        ("status == unanswered", [UNANSWERED]),
        ("emcy", [EMCY, EMCY_RESET]),
        ("emcy.code", [EMCY]),
        ("emcy==3220h", [EMCY]),
        ("emcy.code==0x3220 and emcy.register==1", [EMCY]),
        ("emcy.register == 0", [EMCY_RESET]),
        ("heartbeat", [HEARTBEAT, STOPPED]),
        ("boot-up", [BOOT_UP]),
        ("BOOT-UP", [BOOT_UP]),
        ("nmt", [STOP]),
        ("nmt==stop", [STOP]),
        ("nmt==stopped", [STOPPED]),
        ("nmt==pre-operational", []),
        ("nmt.target==101", [STOP]),
        ("sync", [SYNC]),
        ("tpdo==4", [TPDO]),
        ("pdo", [TPDO]),
        ("rpdo or tpdo==3", []),
        ("service==tpdo", [TPDO]),
        ("id==0x4E5", [TPDO]),
        ("sdo.write", [MODE_WRITE, MODE_REFUSED, CONTROLWORD]),
        ("size == 1", [MODE_WRITE, MODE_REFUSED]),
        ("error", [ERROR]),
        ("not (sdo or emcy or pdo or heartbeat)", [BOOT_UP, STOP, SYNC, ERROR]),
        ("!sdo && !(emcy || pdo || heartbeat)", [BOOT_UP, STOP, SYNC, ERROR]),
        ("NOT sdo AND NOT pdo AND NOT heartbeat AND NOT emcy AND NOT error AND NOT nmt", [BOOT_UP, SYNC]),
        ("sync or emcy and heartbeat", [SYNC]),
        ("(sync or emcy) and heartbeat", []),
        ("not not sync", [SYNC]),
        ("channel==can0", []),
        ("\tsync\n", [SYNC]),
    ],
)
def test_what_it_fires_for(text: str, fires_for: list[Record]) -> None:
    test = compile_trigger(text)
    fired = [record for record in [*ALL, ERROR] if test(record)]
    assert fired == fires_for


def test_a_value_of_a_refused_write_does_not_count() -> None:
    assert MODE_REFUSED.value == 6
    assert not compile_trigger("6060==6")(MODE_REFUSED)
    assert compile_trigger("value==6")(MODE_REFUSED)


def test_what_a_record_lacks_is_neither_equal_nor_different() -> None:
    assert SYNC.node is None
    assert not compile_trigger("node == 5")(SYNC)
    assert not compile_trigger("node != 5")(SYNC)
    assert compile_trigger("not node == 5")(SYNC)
    unmapped = one("185#0102")
    assert compile_trigger("flag == mapping_unknown")(unmapped)
    assert not compile_trigger("flag != mapping-unknown")(unmapped)
    assert not compile_trigger("flag == late")(unmapped)
    assert compile_trigger("flag != late")(SYNC), "no flag at all is none of that name"


def test_times_and_changes() -> None:
    slow = Record("sdo.read", (1,), response_ns=5_000_000, took_ns=7_500_000, index=0x6041, subindex=0)
    assert compile_trigger("response_ms >= 5 and took_ms > 7.4 and changed")(slow)
    assert not compile_trigger("response_ms > 5")(slow)
    assert not compile_trigger("changed")(Record("sync", (1,), flags=("unchanged",)))


def test_bits_that_only_the_dictionary_names() -> None:
    record = Record("tpdo", (1,), index=0x2010, subindex=1, value=4, bits=("Over-Temperature",))
    assert compile_trigger("2010:1.over_temperature")(record)
    assert compile_trigger("2010:1.bit2")(record)
    assert not compile_trigger("2010:1.bit1 or 2010.cold or 2010:2.bit2")(record)


def test_mode_specific_bits_of_the_statusword_and_other_axes() -> None:
    homed = Record("tpdo", (1,), index=0x6841, subindex=0, value=0x1237, bits=("homing attained",))
    assert compile_trigger("6841.homing_attained and 6841.bit12 and 6841.remote")(homed)
    assert not compile_trigger("6041.homing_attained")(homed)


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("", 0, "it is empty: expected an expression such as state==FAULT"),
        ("   ", 0, "it is empty"),
        ("node=101", 4, "write == to compare"),
        ("node==", 6, "expected a number or a word, not the end"),
        ("node==)", 6, "expected a number or a word, not ')'"),
        ("node==abc", 6, "expected a number, not 'abc'"),
        ("node=='5'", 6, "expected a number, not '5'"),
        ("nod==5", 0, "'nod' is unknown: expected an object such as 6041, or one of state, nmt"),
        ("6041 and", 8, "expected a name or an object such as 6041, not the end"),
        ("and node", 0, "expected a name or an object such as 6041, not 'and'"),
        ("(sync or emcy", 13, "expected a closing parenthesis, not the end"),
        ("sync emcy", 5, "'emcy' is too much: expected and, or"),
        ("sync)", 4, "')' is too much"),
        ("state==FALUT", 7, "'FALUT' is never seen here: expected one of NOT_READY_TO_SWITCH_ON"),
        ("state==operation enabled", 7, "'operation' is never seen here"),
        ("status==broken", 8, "'broken' is never seen here: expected one of ok, aborted"),
        ("nmt==5", 5, "'5' is never seen here"),
        ("state>FAULT", 5, "> compares numbers"),
        ("sync==5", 4, "'sync' is true or false and cannot be compared"),
        ("6041.fualt", 0, "'fualt' is no bit of 6041: expected one of ready_to_switch_on"),
        ("6060==sideways", 6, "'sideways' is no INTEGER8"),
        ("2F00==on", 6, "'on' is no number: put text into quotation marks"),
        ("6041   & 8", 7, "'&' has no meaning"),
        ("node==1; import os", 7, "';' has no meaning"),
        ("state=='FAULT", 7, '"\'" has no meaning'),
        ("not " * 60 + "sync", 200, "nested too deeply"),
        ("(" * 5000, 50, "nested too deeply"),
    ],
)
def test_what_is_refused(text: str, position: int, reason: str) -> None:
    with pytest.raises(TriggerError) as caught:
        compile_trigger(text)
    assert reason in caught.value.reason
    assert caught.value.position == position
    shown, mark = caught.value.message.splitlines()[1:]
    assert shown == f"    {text.rstrip()}"
    assert mark.index("^") == 4 + position


WORDS = [
    "node",
    "==",
    "5",
    "and",
    "or",
    "not",
    "(",
    ")",
    "6041",
    "state",
    "FAULT",
    "emcy.code",
    ">",
    "sync",
    "'x'",
    "!",
]


@given(st.one_of(st.text(max_size=30), st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join)))
def test_any_text_compiles_or_says_where_not(text: str) -> None:
    try:
        test = compile_trigger(text)
    except TriggerError as error:
        assert 0 <= error.position <= len(text)
    else:
        assert all(test(record) in (True, False) for record in ALL)


expressions = st.recursive(
    st.sampled_from(["sync", "emcy", "heartbeat", "node==101", "606C > 100"]).map(lambda name: (name, None)),
    lambda inner: st.tuples(st.sampled_from(["and", "or", "not"]), st.tuples(inner, inner)),
    max_leaves=12,
)


def written(tree: tuple[str, object]) -> str:
    name, parts = tree
    if parts is None:
        return name
    left, right = parts
    return f"not ({written(left)})" if name == "not" else f"({written(left)}) {name} ({written(right)})"


def meant(tree: tuple[str, object], record: Record) -> bool:
    name, parts = tree
    if parts is None:
        return compile_trigger(name)(record)
    left, right = parts
    if name == "not":
        return not meant(left, record)
    return (operator.and_ if name == "and" else operator.or_)(meant(left, record), meant(right, record))


@given(expressions)
def test_logic(tree: tuple[str, object]) -> None:
    test = compile_trigger(written(tree))
    for record in ALL:
        assert test(record) == meant(tree, record)


def test_the_page_lists_every_name() -> None:
    page = PAGE.read_text("utf-8")
    table = {word for line in page.splitlines() if line.startswith("|") for word in line.split("|")[1].split("`")[1::2]}
    assert set(NAMES) <= table, set(NAMES) - table


def test_the_examples_of_the_page_compile() -> None:
    page = PAGE.read_text("utf-8")
    examples = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `") and line.count("|") == 3]
    assert len(examples) > 10
    for example in examples:
        compile_trigger(example)
