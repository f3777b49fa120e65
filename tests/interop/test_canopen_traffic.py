"""The independent stack `canopen` talks to itself on a virtual bus; opendiag listens, and both must agree."""

from __future__ import annotations

from collections.abc import Iterator

import can
import canopen
import pytest

from opendiag import Decoder, Record, load
from opendiag.adapters.message import from_message
from opendiag.resources import bundled_path

pytestmark = pytest.mark.interop

NODE = 101
SERIAL = "SN:1234-5678-ABCD"


class Talk:
    """A master and a node of `canopen`, and a third bus that only listens."""

    def __init__(self, channel: str) -> None:
        eds = str(bundled_path("eds") / "stepim.eds")
        self.listener = can.Bus(interface="virtual", channel=channel)
        self.master = canopen.Network()
        self.master.connect(interface="virtual", channel=channel)
        self.slave = canopen.Network()
        self.slave.connect(interface="virtual", channel=channel)
        self.local = self.slave.create_node(NODE, eds)
        self.remote = self.master.add_node(NODE, eds)
        self.remote.sdo.RESPONSE_TIMEOUT = 5.0

    def close(self) -> None:
        self.master.disconnect()
        self.slave.disconnect()
        self.listener.shutdown()

    def records(self, decoder: Decoder) -> list[Record]:
        """What was said since the last call."""
        found: list[Record] = []
        while (message := self.listener.recv(0.2)) is not None:
            found += decoder.feed(from_message(message))
        return found


@pytest.fixture
def talk(request: pytest.FixtureRequest) -> Iterator[Talk]:
    made = Talk(f"interop-{request.node.name}")
    yield made
    made.close()


@pytest.fixture
def decoder() -> Decoder:
    return Decoder({NODE: load("stepim")})


def by_object(records: list[Record], service: str) -> dict[str, Record]:
    return {record.object_text or "": record for record in records if record.service == service}


def test_expedited_reads_give_the_names_and_values_that_canopen_sees(talk: Talk, decoder: Decoder) -> None:
    values = {0x6041: 0x0227, 0x6064: -123456, 0x6061: 8, 0x6079: 48123, 0x2044: -7, 0x6098: -3}
    for index, value in values.items():
        talk.local.sdo[index].raw = value
    seen = {index: talk.remote.sdo[index].raw for index in values}
    records = by_object(talk.records(decoder), "sdo.read")
    assert seen == values
    for index, value in values.items():
        record = records[f"{index:04X}:00"]
        assert (record.value, record.name, record.status) == (value, talk.remote.object_dictionary[index].name, "ok")
        assert record.transfer == "expedited"


def test_members_of_records_have_both_names(talk: Talk, decoder: Decoder) -> None:
    assert talk.remote.sdo[0x1018][1].raw == 0x2E1
    record = talk.records(decoder)[0]
    assert (record.name, record.value) == ("Identity Object.Vendor ID", 0x2E1)


def test_expedited_and_segmented_writes(talk: Talk, decoder: Decoder) -> None:
    talk.remote.sdo[0x6060].raw = -2
    talk.remote.sdo[0x607A].raw = -4096
    talk.remote.sdo[0x2F7A].raw = SERIAL
    records = by_object(talk.records(decoder), "sdo.write")
    assert records["6060:00"].value == -2
    assert records["607A:00"].value == -4096
    assert records["2F7A:00"].value == SERIAL
    assert records["2F7A:00"].transfer == "segmented"
    assert talk.local.sdo[0x2F7A].raw == SERIAL


def test_segmented_read(talk: Talk, decoder: Decoder) -> None:
    talk.local.sdo[0x1008].raw = "StepIM simulated by another stack"
    assert talk.remote.sdo[0x1008].raw == "StepIM simulated by another stack"
    record = talk.records(decoder)[0]
    assert (record.value, record.transfer) == ("StepIM simulated by another stack", "segmented")
    assert record.name == talk.remote.object_dictionary[0x1008].name


def test_aborts_have_canopens_code(talk: Talk, decoder: Decoder) -> None:
    with pytest.raises(canopen.SdoAbortedError) as refused:
        talk.remote.sdo.upload(0x5FFF, 0)
    record = talk.records(decoder)[0]
    assert (record.status, record.abort_code, record.value) == ("aborted", refused.value.code, None)


def test_a_pdo_mapping_set_by_canopen_is_learned_and_used(talk: Talk, decoder: Decoder) -> None:
    talk.remote.tpdo.read()
    changed = talk.remote.tpdo[1]
    changed.clear()
    changed.add_variable(0x6078)
    changed.add_variable(0x6064)
    changed.cob_id = 0x1F5
    changed.enabled = True
    changed.save()
    talk.records(decoder)

    talk.local.sdo[0x6078].raw = -219
    talk.local.sdo[0x6064].raw = 6192612
    sending = talk.local.tpdo[1]
    sending.read()
    assert sending.cob_id == 0x1F5
    for variable in sending:
        variable.raw = talk.local.sdo[variable.index].raw
    sending.transmit()
    records = talk.records(decoder)
    assert [(r.service, r.number, r.can_id, r.mapping_from) for r in records] == [("tpdo", 1, 0x1F5, "traffic")] * 2
    assert {r.object_text: r.value for r in records} == {"6078:00": -219, "6064:00": 6192612}


def test_a_pdo_with_the_mapping_of_the_eds(talk: Talk, decoder: Decoder) -> None:
    talk.remote.rpdo.read(from_od=True)
    target = talk.remote.rpdo[2]
    for variable, value in zip(target, (-99, 5000), strict=True):
        variable.raw = value
    target.transmit()
    records = talk.records(decoder)
    assert {r.object_text: r.value for r in records} == {"607A:00": -99, "6081:00": 5000}
    assert [r.name for r in records] == [variable.name for variable in target]
    assert {r.mapping_from for r in records} == {"eds:stepim"}


def test_nmt_commands_boot_up_and_heartbeat(talk: Talk, decoder: Decoder) -> None:
    talk.local.nmt.send_command(0)  # canopen's node starts, and says so
    talk.local.nmt.start_heartbeat(20)
    talk.remote.nmt.state = "PRE-OPERATIONAL"
    talk.remote.nmt.state = "OPERATIONAL"
    records: list[Record] = []
    for _ in range(300):
        message = talk.listener.recv(5)
        assert message is not None, "canopen sends no heartbeat"
        records += decoder.feed(from_message(message))
        if records[-1].state == "OPERATIONAL":
            break
    talk.local.nmt.stop_heartbeat()
    commands = [record.details["command"] for record in records if record.service == "nmt"]
    assert commands == ["ENTER_PRE_OPERATIONAL", "START"]
    assert "boot-up" in [record.service for record in records]
    assert (records[-1].service, records[-1].node) == ("heartbeat", NODE)


def test_emcy(talk: Talk, decoder: Decoder) -> None:
    talk.local.emcy.send(0x3120, 0x05, b"\1\2\3\4\5")
    talk.local.emcy.reset(0)
    first, second = talk.records(decoder)
    assert first.details == {"code": 0x3120, "register": 0x05, "manufacturer": b"\1\2\3\4\5"}
    assert second.value == 0


def test_sync_and_time(talk: Talk, decoder: Decoder) -> None:
    talk.master.sync.transmit(7)
    talk.master.time.transmit(1_700_000_000.0)
    sync, time = talk.records(decoder)
    assert sync.value == 7
    assert time.value == "2023-11-14T22:13:20.000"
