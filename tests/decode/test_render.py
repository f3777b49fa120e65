"""Records as lines for people."""

from dataclasses import replace

import pytest
from devices import stepim_frames

from opendiag.decode.decoder import Decoder
from opendiag.decode.records import Record
from opendiag.decode.render import frame_text, frames_text, row, service_text
from opendiag.dictionary.library import load
from opendiag.frame import Frame


def rows(some_frames, *args):
    decoder = Decoder(*args)
    records = [record for frame in some_frames for record in decoder.feed(frame)] + decoder.finish()
    return [row(record, home_channel="can0") for record in records]


def columns(line):
    return line.frames, line.node, line.service, line.object, line.value, line.level


def test_the_example_capture():
    lines = rows(stepim_frames(), {101: load("stepim")})
    assert [columns(line) for line in lines] == [
        ("1", "101", "TPDO4", "60FA:00 Control Effort", "5872", ""),
        ("2-3", "101", "SDO read", "6078:00 Current Actual Value", "219 mA", ""),
        ("4-5", "101", "SDO read", "6064:00 Position Actual Internal Value", "6192612 counts", ""),
        ("6-7", "101", "SDO read", "6041:00 Statusword", "0x0227", ""),
        ("8-9", "101", "SDO read", "6041:00 Statusword", "0x0227", "quiet"),
        ("10", "101", "SDO read", "606C:00 Velocity Actual Value", "-", "warning"),
    ]
    assert lines[1].text == "" and lines[2].text == "= 1511.868164 rev (4096 counts per rev)"
    assert lines[4].text.startswith("unchanged; OPERATION ENABLED")
    assert lines[5].text == "no answer before the capture ends"


def test_the_example_capture_without_a_dictionary():
    first, *_ = rows(stepim_frames())
    assert columns(first) == ("1", "101", "TPDO4", "mapping unknown", "F0 16 00 00", "")
    assert first.text == "(as i32: 5872)"


@pytest.mark.parametrize(
    ("frames", "text"),
    [((), ""), ((7,), "7"), ((2, 3), "2-3"), ((2, 3, 4), "2-4"), ((2, 4), "2,4"), ((2, 4, 9), "2..9 (3)")],
)
def test_frames(frames, text):
    assert frames_text(frames) == text


@pytest.mark.parametrize(
    ("service", "number", "text"),
    [
        ("sdo.read", 1, "SDO read"),
        ("sdo.write", 2, "SDO write #2"),
        ("sdo", None, "SDO"),
        ("tpdo", 4, "TPDO4"),
        ("rpdo", 12, "RPDO12"),
        ("emcy", None, "EMCY"),
        ("error-frame", None, "ERROR"),
    ],
)
def test_services(service, number, text):
    assert service_text(Record(service, (1,), number=number)) == text


def test_time_counts_from_the_start():
    record = Record("sync", (1,), time_ns=3_000_001_000)
    assert row(record).time == "3.000001"
    assert row(record, start_ns=1_000_000_000).time == "2.000001"
    assert row(Record("sync", (1,))).time == ""


@pytest.mark.parametrize(
    ("node", "channel", "text"),
    [(5, "can0", "5"), (5, "can1", "can1/5"), (None, "can0", "-"), (None, "can1", "can1"), (5, None, "5")],
)
def test_the_channel_is_mentioned_where_it_is_another(node, channel, text):
    assert row(Record("sync", (1,), node=node, channel=channel), home_channel="can0").node == text


@pytest.mark.parametrize(
    ("fields", "level"),
    [
        ({}, ""),
        ({"flags": ("unchanged",)}, "quiet"),
        ({"status": "aborted"}, "error"),
        ({"status": "damaged"}, "error"),
        ({"status": "malformed"}, "error"),
        ({"status": "unanswered"}, "warning"),
        ({"status": "incomplete"}, "warning"),
        ({"status": "stray"}, "warning"),
        ({"state": "FAULT", "flags": ("unchanged",)}, "warning"),
        ({"service": "emcy"}, "error"),
        ({"service": "error-frame"}, "error"),
    ],
)
def test_level(fields, level):
    assert row(replace(Record("sdo.read", (1, 2)), **fields)).level == level


def test_the_unit_beside_the_value_is_that_of_the_number():
    record = Record("sdo.read", (1, 2), index=0x6078, subindex=0, raw=b"\xdb\0", value=219, unit="mA")
    assert row(record).value == "219 mA"
    assert row(replace(record, scaled=21.9, unit="%")).value == "219"


def test_no_value_is_never_a_value():
    request = Record("sdo.read", (1,), "unanswered", index=0x6041, subindex=0, name="Statusword")
    assert row(request).value == "-"
    damaged = Record("sdo.read", (1, 2), "damaged", index=0x6041, subindex=0, raw=b"\x27\2", text="crc-error")
    assert (row(damaged).value, row(damaged).text) == ("27 02", "not to be trusted: crc-error")


def test_objects():
    assert row(Record("sdo.read", (1,), index=0x2000, subindex=1)).object == "2000:01 not in the dictionary"
    assert row(Record("sdo", (1,), "malformed")).object == "object unknown"
    assert row(Record("tpdo", (1,), number=1, name="dummy", flags=("dummy",))).object == "dummy"
    assert row(Record("unknown", (1,), can_id=0x6E0)).object == "6E0"
    assert row(Record("unknown", (1,), can_id=0x6E0, flags=("29-bit",))).object == "000006E0"
    assert row(Record("heartbeat", (1,), node=5)).object == ""


@pytest.mark.parametrize(
    "service", ["emcy", "time", "sync", "nmt", "lss", "error-frame", "boot-up", "heartbeat", "guarding"]
)
def test_services_whose_text_says_it_all(service):
    assert row(Record(service, (1,), value=5, raw=b"\5", text="words")).value == ""


def test_long_data_are_cut():
    line = row(Record("sdo.read", (1, 2), raw=bytes(100), value=bytes(100), index=0x1F50, subindex=1))
    assert line.value.endswith(".. (100 bytes)")


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (Frame(0x665, bytes.fromhex("4078600000000000")), "665   [8]  40 78 60 00 00 00 00 00"),
        (Frame(0x080), "080   [0]"),
        (Frame(0x1ABCDEF, b"\1", extended=True), "01ABCDEF   [1]  01"),
        (Frame(0x705, remote=True, dlc=1), "705   [1]  remote request"),
        (Frame(0x185, bytes(12), fd=True), "185   [12]  00 00 00 00 00 00 00 00 00 00 00 00"),
        (Frame(0x020, b"\0", error=True), "20000020   [1]  00"),
        (Frame(0x123, bytes(8), dlc=11), "123   {B}  00 00 00 00 00 00 00 00"),
    ],
)
def test_a_frame_as_candump_prints_it(frame, text):
    assert frame_text(frame) == text
