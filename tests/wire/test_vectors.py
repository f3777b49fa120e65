"""Golden vectors: every message of every service, as bytes and as meaning. Each is decoded and encoded.

``canonical`` is what encode gives where decode tolerates other bytes; ``refused`` is a part of the reason.
"""

import dataclasses
import enum
import json
import typing
from pathlib import Path

import pytest

from opendiag.errors import WireError
from opendiag.wire import cob_id, emcy, heartbeat, lss, nmt, pdo, sdo, sdo_block, sync, time_stamp
from opendiag.wire.sdo_abort import ABORT_TEXTS, SdoAbortCode, abort_text

DIRECTORY = Path(__file__).parents[1] / "vectors" / "wire"


def of_entry(decode):
    return lambda data: decode(int.from_bytes(data, "little"))


#: (service, direction) -> decode
DECODE = {
    ("SDO", "client"): sdo.decode_request,
    ("SDO", "server"): sdo.decode_response,
    ("SDO", "data"): sdo_block.BlockSegment.decode,
    ("NMT", "master"): nmt.NmtMessage.decode,
    ("NMT error control", "node"): heartbeat.ErrorControl.decode,
    ("SYNC", "producer"): sync.Sync.decode,
    ("TIME", "producer"): time_stamp.TimeOfDay.decode,
    ("EMCY", "producer"): emcy.Emcy.decode,
    ("EMCY", "history"): emcy.ErrorEntry.decode,
    ("LSS", "master"): lss.decode_request,
    ("LSS", "slave"): lss.decode_response,
    ("COB-ID", "entry"): of_entry(cob_id.CobId.decode),
    ("PDO mapping", "entry"): of_entry(pdo.MappingEntry.decode),
    ("MPDO", "producer"): pdo.Mpdo.decode,
    ("MPDO", "scanner list"): of_entry(pdo.ScannerEntry.decode),
    ("MPDO", "dispatching list"): of_entry(pdo.DispatchEntry.decode),
}
MODULES = (cob_id, emcy, heartbeat, lss, nmt, pdo, sdo, sdo_block, sync, time_stamp)
CLASSES = {
    name: thing
    for module in MODULES
    for name, thing in vars(module).items()
    if dataclasses.is_dataclass(thing) and hasattr(thing, "encode")
}


def load():
    for path in sorted(DIRECTORY.glob("*.json")):
        content = json.loads(path.read_text())
        for vector in content["vectors"]:
            yield {"service": content["service"], "file": path.stem} | vector


VECTORS = list(load())
GOOD = [vector for vector in VECTORS if "class" in vector]
REFUSED = [vector for vector in VECTORS if "refused" in vector]


def name(vector):
    return f"{vector['file']}-{vector['direction']}-{vector['bytes'].replace(' ', '') or 'empty'}"


def field(kind, value):
    """A JSON value as the type that the dataclass declares: bytes and large numbers are written in hexadecimal."""
    kinds = [kind, *typing.get_args(kind)]
    if value is None or isinstance(value, bool):
        return value
    if bytes in kinds:
        return bytes.fromhex(value)
    for candidate in kinds:
        if isinstance(candidate, enum.EnumMeta):
            return candidate[value]
    return int(value, 0) if isinstance(value, str) else value


def expected(vector):
    cls = CLASSES[vector["class"]]
    hints = typing.get_type_hints(cls)
    return cls(**{key: field(hints[key], value) for key, value in vector["fields"].items()})


def encoded(message):
    result = message.encode()
    width = 8 if isinstance(message, pdo.DispatchEntry) else 4
    return result.to_bytes(width, "little") if isinstance(result, int) else result


@pytest.mark.parametrize("vector", GOOD, ids=name)
def test_golden(vector):
    message = expected(vector)
    decoded = DECODE[vector["service"], vector["direction"]](bytes.fromhex(vector["bytes"]))
    assert decoded == message
    assert type(decoded) is type(message)
    assert encoded(message) == bytes.fromhex(vector.get("canonical", vector["bytes"]))
    if vector["service"] == "TIME":
        assert decoded.isoformat() == vector["meaning"]
    elif vector["service"] == "COB-ID":
        assert decoded.text == vector["text"]
    elif vector["service"] == "PDO mapping":
        assert decoded.is_dummy == vector["dummy"]
    elif vector["service"] == "NMT error control":
        assert decoded.is_boot_up == (vector["meaning"] == "boot-up")
    elif hasattr(decoded, "text"):
        assert decoded.text == vector["meaning"]


@pytest.mark.parametrize("vector", REFUSED, ids=name)
def test_refused(vector):
    data = bytes.fromhex(vector["bytes"])
    with pytest.raises(WireError) as caught:
        DECODE[vector["service"], vector["direction"]](data)
    assert vector["refused"] in caught.value.reason
    assert caught.value.data == data, "the error carries the bytes it is about"


def test_every_vector_has_its_parts():
    for vector in VECTORS:
        assert vector["source"], vector
        assert vector["bytes"] == vector["bytes"].upper()
        assert ("class" in vector and vector["meaning"]) or vector["refused"], vector
    assert len({(name(v)) for v in VECTORS}) == len(VECTORS), "a vector is there twice"


def test_every_message_class_has_a_vector():
    abstract = {"BlockInitiate", "Initiate", "Multiplexed"}
    assert {v["class"] for v in GOOD} == set(CLASSES) - abstract


def test_every_service_and_direction_refuses_something():
    assert {(v["service"], v["direction"]) for v in REFUSED} == {
        key for key in DECODE if key[1] not in ("entry", "scanner list", "dispatching list")
    }


def test_every_lss_command_has_a_vector_in_each_direction():
    commands = {
        who: {bytes.fromhex(v["bytes"])[0] for v in GOOD if v["direction"] == who} for who in ("master", "slave")
    }
    only_master = {0x04, 0x15, 0x40, 0x41, 0x42, 0x43, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x4B, 0x4C, 0x51}
    only_slave = {0x44, 0x4F, 0x50}
    both = {0x11, 0x13, 0x17, 0x5A, 0x5B, 0x5C, 0x5D, 0x5E}
    lss_commands = only_master | only_slave | both
    assert {int(command) for command in lss.LssCommand} == lss_commands
    assert commands["master"] & lss_commands == only_master | both
    assert commands["slave"] & lss_commands == only_slave | both


def test_every_command_state_and_listed_code_has_a_vector():
    fields = {key: [v["fields"] for v in GOOD if v["file"] == key] for key in ("nmt", "heartbeat", "emcy", "sdo_abort")}
    assert {f["command"] for f in fields["nmt"]} == {command.name for command in nmt.NmtCommand}
    assert {f["state"] for f in fields["heartbeat"]} == {state.name for state in nmt.NmtState}
    assert {int(f["code"], 0) for f in fields["sdo_abort"]} >= set(SdoAbortCode)
    unlisted = set(emcy.CODES) - {int(str(f["code"]), 0) for f in fields["emcy"]}
    assert {code for code in unlisted if code & 0xFF} == set(), "listed single codes without a vector"


def test_every_abort_code_has_its_own_text():
    assert set(ABORT_TEXTS) == set(SdoAbortCode)
    assert len({abort_text(code) for code in SdoAbortCode}) == len(SdoAbortCode)
    assert "not listed" in abort_text(0x0609_0037)


def test_every_emcy_code_has_a_text():
    for code in range(0x10000):
        assert emcy.code_text(code)
    assert all(emcy.code_text(code) == text for code, text in emcy.CODES.items())
