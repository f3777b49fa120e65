"""NMT, heartbeat, guarding, EMCY, SYNC and TIME with `canopen` and node-canopen at the other end, both ways round."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import can
import canopen
import pytest
from node_bench import dictionary

from opendiag.adapters.message import from_message, to_message
from opendiag.services.base import Machine
from opendiag.services.emcy import EmcyConsumer, EmcyProducer, EmcyReceived
from opendiag.services.guarding import GuardingMaster
from opendiag.services.heartbeat import (
    BootedUp,
    HeartbeatConsumer,
    HeartbeatProducer,
    NodeFound,
    NodeLost,
    StateChanged,
)
from opendiag.services.nmt import command_frame
from opendiag.services.sync import SyncConsumer, SyncProducer
from opendiag.services.time_stamp import TimeConsumer, TimeProducer
from opendiag.simulate.node import SimNode
from opendiag.wire.nmt import NmtCommand, NmtState
from opendiag.wire.time_stamp import TimeOfDay

pytestmark = pytest.mark.interop

NODE, OTHER = 5, 9
WAIT_S = 5.0
#: 2024-05-17T12:34:56.500Z
MOMENT_S = 1715949296.5


def until(condition: Callable[[], Any], what: str) -> None:
    """Wait for it, or fail."""
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, f"not within {WAIT_S} s: {what}"
        time.sleep(0.005)


class Ours:
    """Machines of ours on a bus, driven by the test itself."""

    def __init__(self, bus: can.BusABC, *machines: Machine) -> None:
        self.bus, self.machines = bus, machines
        self.events: list[Any] = []

    def send(self, frame: Any) -> None:
        self.bus.send(to_message(frame))

    def run_until(self, condition: Callable[[], Any], what: str) -> None:
        end = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < end, f"not within {WAIT_S} s: {what}; seen: {self.events}"
            message = self.bus.recv(0.005)
            now = time.monotonic()
            for machine in self.machines:
                if message is not None:
                    machine.receive(from_message(message), now)
                machine.tick(now)
                for frame in machine.frames_to_send():
                    self.send(frame)
                self.events += machine.events()

    def run_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.run_until(lambda: time.monotonic() >= end, "the time")

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def other(channel: str) -> Iterator[canopen.Network]:
    """A network of `canopen` on the same bus."""
    made = canopen.Network()
    made.connect(interface="virtual", channel=channel)
    yield made
    made.disconnect()


@pytest.fixture
def device(run_devices: Callable[..., Any]) -> SimNode:
    """Our node 5."""
    made = SimNode(dictionary(), NODE)
    run_devices(made)
    return made


@pytest.fixture
def remote(other: canopen.Network) -> canopen.RemoteNode:
    """Node 5 as `canopen` sees it."""
    made = other.add_node(NODE, canopen.ObjectDictionary())
    made.sdo.RESPONSE_TIMEOUT = WAIT_S
    return made


def write(remote: canopen.RemoteNode, index: int, value: int, size: int, subindex: int = 0) -> None:
    remote.sdo.download(index, subindex, value.to_bytes(size, "little"))


# --- canopen is the master, our SimNode the device ------------------------------------------------------------------


def test_nmt_commands_of_canopen_are_obeyed_and_its_heartbeat_consumer_sees_it(
    device: SimNode, remote: canopen.RemoteNode
) -> None:
    write(remote, 0x1017, 50, 2)
    for state in ("OPERATIONAL", "STOPPED", "PRE-OPERATIONAL"):
        remote.nmt.state = state
        until(lambda wanted=state: device.nmt_state.text == wanted, state)
        assert remote.nmt.wait_for_heartbeat(WAIT_S) == state


@pytest.mark.parametrize("command", ["RESET", "RESET COMMUNICATION"])
def test_canopen_sees_the_boot_up_of_a_reset(device: SimNode, remote: canopen.RemoteNode, command: str) -> None:
    until(lambda: device.nmt_state is NmtState.PRE_OPERATIONAL, "boot-up")
    states: list[int] = []
    remote.nmt.add_heartbeat_callback(states.append)
    remote.nmt.state = command
    until(lambda: states[:1] == [0], "boot-up")


def test_canopen_guards_our_node(device: SimNode, remote: canopen.RemoteNode) -> None:
    write(remote, 0x1017, 0, 2)
    states: list[int] = []
    remote.nmt.add_heartbeat_callback(states.append)
    remote.nmt.start_node_guarding(0.02)
    until(lambda: len(states) >= 5, "five answers")
    remote.nmt.stop_node_guarding()
    assert set(states) == {0x7F}


def test_a_sync_of_canopen_with_an_unexpected_counter_is_an_emcy_that_canopen_reads(
    other: canopen.Network, device: SimNode, remote: canopen.RemoteNode
) -> None:
    until(lambda: device.nmt_state is NmtState.PRE_OPERATIONAL, "boot-up")
    other.sync.transmit(7)
    until(lambda: remote.emcy.log, "the EMCY")
    assert (remote.emcy.log[0].code, remote.emcy.log[0].register) == (0x8240, 0x11)
    assert [error.code for error in remote.emcy.active] == [0x8240]
    assert int.from_bytes(remote.sdo.upload(0x1003, 1), "little") == 0x8240
    other.sync.transmit()
    until(lambda: not remote.emcy.active, "the error reset")


def test_a_sync_counter_of_canopen_is_followed(
    other: canopen.Network, device: SimNode, remote: canopen.RemoteNode
) -> None:
    write(remote, 0x1019, 3, 1)
    for counter in (1, 2, 3, 1, 3):
        other.sync.transmit(counter)
    until(lambda: device.sync.consumer.count == 5, "five SYNCs")
    assert (device.sync.consumer.missed, device.sync.consumer.malformed) == (1, 0)


def test_our_node_keeps_the_time_of_canopen(
    other: canopen.Network, device: SimNode, remote: canopen.RemoteNode
) -> None:
    write(remote, 0x1012, 0x8000_0100, 4)
    other.time.transmit(MOMENT_S)
    until(lambda: device.time.consumer.latest, "TIME")
    assert device.time.consumer.latest.time == TimeOfDay.from_epoch(MOMENT_S)
    assert device.time.consumer.latest.time.isoformat() == "2024-05-17T12:34:56.500"


# --- we are the master, canopen's LocalNode is the device -----------------------------------------------------------


@pytest.fixture
def local(other: canopen.Network) -> canopen.LocalNode:
    """Node 5 of `canopen`, with 1017h and 1001h."""
    objects = canopen.ObjectDictionary()
    for index, kind in ((0x1017, canopen.objectdictionary.UNSIGNED16), (0x1001, canopen.objectdictionary.UNSIGNED8)):
        variable = canopen.objectdictionary.ODVariable(f"o{index:X}", index)
        variable.data_type, variable.default, variable.access_type = kind, 0, "rw"
        objects.add_object(variable)
    return other.create_node(NODE, objects)


def test_our_commands_move_canopens_node_and_its_heartbeat_tells_it(
    open_bus: Callable[[], can.BusABC], local: canopen.LocalNode
) -> None:
    ours = Ours(open_bus(), HeartbeatConsumer())
    local.nmt.state = "INITIALISING"
    ours.run_until(lambda: ours.of(BootedUp), "boot-up")
    local.nmt.start_heartbeat(30)
    for command, state in (
        (NmtCommand.START, NmtState.OPERATIONAL),
        (NmtCommand.STOP, NmtState.STOPPED),
        (NmtCommand.ENTER_PRE_OPERATIONAL, NmtState.PRE_OPERATIONAL),
    ):
        ours.send(command_frame(command, NODE))
        ours.run_until(lambda wanted=state: ours.of(StateChanged)[-1].state is wanted, state.text)


def test_the_loss_of_canopens_node_is_detected_and_its_return(
    open_bus: Callable[[], can.BusABC], local: canopen.LocalNode
) -> None:
    consumer = HeartbeatConsumer()
    consumer.supervise(NODE, 0.5)
    ours = Ours(open_bus(), consumer)
    local.nmt.state = "PRE-OPERATIONAL"
    local.nmt.start_heartbeat(50)
    ours.run_until(lambda: consumer.nodes[NODE].count >= 5, "five heartbeats")
    assert not ours.of(NodeLost)
    local.nmt.stop_heartbeat()
    ours.run_until(lambda: ours.of(NodeLost), "the loss")
    (lost,) = ours.of(NodeLost)
    assert 0.5 <= lost.at - lost.last_heard < 1.0
    local.nmt.start_heartbeat(50)
    ours.run_until(lambda: ours.of(NodeFound), "the return")
    assert ours.of(NodeFound)[0].gap_s > 0.5


def test_a_node_of_canopen_answers_no_guarding_and_is_reported(
    open_bus: Callable[[], can.BusABC], local: canopen.LocalNode
) -> None:
    master = GuardingMaster()
    master.guard(NODE, 0.05, 3)
    ours = Ours(open_bus(), master)
    ours.run_until(lambda: ours.of(NodeLost), "the loss")
    assert (master.nodes[NODE].answered, ours.of(NodeLost)[0].by) == (0, "guarding")


def test_emcys_of_canopens_node(open_bus: Callable[[], can.BusABC], local: canopen.LocalNode) -> None:
    consumer = EmcyConsumer()
    ours = Ours(open_bus(), consumer)
    local.emcy.send(0x3120, 0x05, b"\x01\x02")
    ours.run_until(lambda: ours.events, "the EMCY")
    assert [event.text for event in consumer.active(NODE)] == ["mains under-voltage"]
    local.emcy.reset(0)
    ours.run_until(lambda: not consumer.active(NODE), "the error reset")
    (first, second) = ours.of(EmcyReceived)
    assert first.data == bytes.fromhex("2031050102000000") and second.is_reset


def test_canopen_reads_our_emcys_and_drops_a_short_one_that_we_keep(
    open_bus: Callable[[], can.BusABC], other: canopen.Network, remote: canopen.RemoteNode
) -> None:
    consumer, producer = EmcyConsumer(), EmcyProducer(0x80 + NODE)
    ours = Ours(open_bus(), producer)
    listening = Ours(open_bus(), consumer)
    listening.bus.recv(0)
    ours.send(from_message(can.Message(arbitration_id=0x85, data=b"\x20\x31\x05", is_extended_id=False)))
    producer.report(0x8130, 0x11, b"\x09", 0.0)
    ours.run_until(lambda: remote.emcy.log, "the EMCY")
    listening.run_until(lambda: len(listening.events) == 2, "both")
    assert [error.code for error in remote.emcy.log] == [0x8130]
    assert [(event.emcy.code, event.complete) for event in listening.events] == [(0x3120, False), (0x8130, True)]


def test_sync_of_canopen_in_periodic_mode_is_measured(
    open_bus: Callable[[], can.BusABC], other: canopen.Network
) -> None:
    consumer = SyncConsumer()
    ours = Ours(open_bus(), consumer)
    other.sync.start(0.02)
    ours.run_until(lambda: consumer.count >= 10, "ten SYNCs")
    other.sync.stop()
    assert consumer.periods.mean_s == pytest.approx(0.02, abs=0.02)
    assert consumer.counter is None  # canopen sends no counter here; our producer does


def test_our_sync_counter_reaches_canopen_in_periodic_mode(
    open_bus: Callable[[], can.BusABC], other: canopen.Network
) -> None:
    seen: list[bytes] = []
    other.subscribe(0x80, lambda can_id, data, timestamp: seen.append(bytes(data)))
    producer = SyncProducer(0x80, 0.01, 3)
    ours = Ours(open_bus(), producer)
    producer.start(time.monotonic())
    ours.run_until(lambda: len(seen) >= 5, "five SYNCs")
    assert seen[:5] == [b"\1", b"\2", b"\3", b"\1", b"\2"]


def test_time_of_canopen_is_received(open_bus: Callable[[], can.BusABC], other: canopen.Network) -> None:
    consumer = TimeConsumer()
    ours = Ours(open_bus(), consumer)
    other.time.transmit(MOMENT_S)
    ours.run_until(lambda: consumer.latest, "TIME")
    assert consumer.latest is not None and consumer.latest.time.epoch_s == MOMENT_S


def test_our_time_has_the_bytes_of_canopens(open_bus: Callable[[], can.BusABC], other: canopen.Network) -> None:
    seen: list[bytes] = []
    bus = open_bus()
    other.time.transmit(MOMENT_S)
    other.subscribe(0x100, lambda can_id, data, timestamp: seen.append(bytes(data)))
    message = bus.recv(WAIT_S)
    ours = Ours(bus, TimeProducer(time_of_day=lambda now: TimeOfDay.from_epoch(MOMENT_S), period_s=60.0))
    ours.machines[0].start(time.monotonic())
    ours.run_until(lambda: seen, "TIME")
    assert message is not None and seen == [bytes(message.data)]


# --- node-canopen at the other end ----------------------------------------------------------------------------------


def heard(peer: Any, wanted: Callable[[list[Any]], Any], what: str, ours: Ours | None = None) -> list[Any]:
    """What node-canopen has heard, once it suits."""
    lines: list[Any] = []
    end = time.monotonic() + WAIT_S
    while not wanted(lines):
        assert time.monotonic() < end, f"not within {WAIT_S} s: {what}; heard: {lines}"
        if ours is not None:
            ours.run_for(0.02)
        lines += peer.ask("heard")
    return lines


def test_node_canopen_beats_obeys_and_falls_silent(open_bus: Callable[[], can.BusABC], start_peer: Any) -> None:
    consumer = HeartbeatConsumer()
    consumer.supervise(NODE, 1.0)
    ours = Ours(open_bus(), consumer)
    peer = start_peer("services")
    ours.run_until(lambda: consumer.nodes[NODE].count >= 3, "three heartbeats")
    for command, state in ((NmtCommand.START, NmtState.OPERATIONAL), (NmtCommand.STOP, NmtState.STOPPED)):
        ours.send(command_frame(command, NODE))
        ours.run_until(lambda wanted=state: ours.of(StateChanged)[-1].state is wanted, state.text)
    peer.process.kill()
    ours.run_until(lambda: ours.of(NodeLost), "the loss")


def test_node_canopen_misses_our_heartbeat(open_bus: Callable[[], can.BusABC], start_peer: Any) -> None:
    peer = start_peer("services")
    producer = HeartbeatProducer(0x700 + OTHER, 0.05, NmtState.OPERATIONAL)
    ours = Ours(open_bus(), producer)
    producer.start(time.monotonic(), at_once=True)
    heard(peer, lambda lines: ["heartbeat", OTHER, 5] in lines, "our heartbeat", ours)
    producer.stop()
    heard(peer, lambda lines: ["timeout", OTHER] in lines, "the loss", ours)


def test_node_canopen_commands_our_node(device: SimNode, start_peer: Any, run_devices: Any) -> None:
    other_node = SimNode(dictionary(), OTHER)
    run_devices(other_node)
    peer = start_peer("services")
    for call, state in (("startNode", NmtState.OPERATIONAL), ("stopNode", NmtState.STOPPED)):
        peer.ask("nmt", call=call, id=OTHER)
        until(lambda wanted=state: other_node.nmt_state is wanted, state.text)
    peer.ask("nmt", call="resetNode", id=OTHER)
    until(lambda: other_node.nmt_state is NmtState.PRE_OPERATIONAL, "reset")
    heard(peer, lambda lines: ["heartbeat", OTHER, 0] in lines, "boot-up")


def test_emcys_both_ways_with_node_canopen(open_bus: Callable[[], can.BusABC], start_peer: Any) -> None:
    consumer, producer = EmcyConsumer(), EmcyProducer(0x80 + OTHER)
    ours = Ours(open_bus(), consumer, producer)
    peer = start_peer("services")
    peer.ask("emcy", code=0x2310, info="0102030405")
    ours.run_until(lambda: ours.of(EmcyReceived), "its EMCY")
    (event,) = ours.of(EmcyReceived)
    assert (event.node_id, event.emcy.code, event.emcy.manufacturer) == (NODE, 0x2310, b"\1\2\3\4\5")
    producer.report(0x8130, 0x11, b"\5", time.monotonic())
    lines = heard(peer, lambda lines: [line for line in lines if line[0] == "emcy"], "our EMCY", ours)
    assert ["emcy", 0x80 + OTHER, 0x8130, 0x11, "0500000000"] in lines


def test_sync_with_a_counter_both_ways_with_node_canopen(open_bus: Callable[[], can.BusABC], start_peer: Any) -> None:
    consumer, producer = SyncConsumer(0x80), SyncProducer(0x80, 0.02, 3)
    ours = Ours(open_bus(), producer)
    peer = start_peer("services")
    producer.start(time.monotonic())
    lines = heard(peer, lambda lines: len([line for line in lines if line[0] == "sync"]) >= 4, "our SYNCs", ours)
    assert [line for line in lines if line[0] == "sync"][:4] == [["sync", 1], ["sync", 2], ["sync", 3], ["sync", 1]]
    listening = Ours(open_bus(), consumer)
    peer.ask("produceSync", period=20_000)
    listening.run_until(lambda: consumer.count >= 7, "its SYNCs")
    assert consumer.counter in (1, 2, 3) and consumer.missed == 0


def test_time_both_ways_with_node_canopen(open_bus: Callable[[], can.BusABC], start_peer: Any) -> None:
    consumer = TimeConsumer()
    producer = TimeProducer(time_of_day=lambda now: TimeOfDay.from_epoch(MOMENT_S))
    ours = Ours(open_bus(), consumer)
    peer = start_peer("services")
    peer.ask("time", date="2024-05-17T12:34:56.500Z")
    ours.run_until(lambda: consumer.latest, "its TIME")
    assert consumer.latest is not None and consumer.latest.time == TimeOfDay.from_epoch(MOMENT_S)
    ours.send(producer.frame(0.0))
    heard(peer, lambda lines: ["time", "2024-05-17T12:34:56.500Z"] in lines, "our TIME")
