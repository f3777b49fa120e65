"""NMT commands to live nodes, and what the nodes say to them."""

import pytest

import opendiag
from opendiag.dictionary.library import load
from opendiag.errors import BlockingCall, NmtStateNotReached, NotDone, SdoTimeout
from opendiag.frame import Frame
from opendiag.master.clock import ManualClock
from opendiag.services.heartbeat import StateChanged
from opendiag.simulate.bus import SimBus
from opendiag.simulate.node import SimNode
from opendiag.simulate.node_quirks import NodeQuirks
from opendiag.wire.nmt import NmtState

COMMANDS = {
    "start": (b"\x01", NmtState.OPERATIONAL),
    "stop": (b"\x02", NmtState.STOPPED),
    "pre_operational": (b"\x80", NmtState.PRE_OPERATIONAL),
    "reset": (b"\x81", NmtState.PRE_OPERATIONAL),
    "reset_communication": (b"\x82", NmtState.PRE_OPERATIONAL),
}


@pytest.fixture
def bus():
    made = SimBus(None)
    made.other = made.attach(name="other")
    return made


@pytest.fixture
def network(bus):
    with opendiag.connect(bus, clock=ManualClock()) as made:
        yield made


def device(network, bus, node_id=9, period_ms=100, **quirks):
    made = SimNode(load("stepim"), node_id, quirks=NodeQuirks(**quirks))
    bus.attach(made, f"node {node_id}")
    network.sleep(0.1 + made.quirks.boot_s)
    network[node_id][0x1017].write(period_ms)
    network.sleep(0.35)
    return made


@pytest.mark.parametrize("name", COMMANDS)
def test_the_bytes_on_the_wire_to_one_node_and_to_all(network, bus, name):
    specifier, _ = COMMANDS[name]
    getattr(network[9].nmt, name)(confirm=False)
    getattr(network.nmt, name)(confirm=False)
    network.sleep(0.01)
    assert [(frame.can_id, frame.data) for frame in bus.other.receive()] == [
        (0x000, specifier + b"\x09"),
        (0x000, specifier + b"\x00"),
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_waits_until_the_node_itself_tells_the_state(network, bus, name):
    node = device(network, bus)
    getattr(network[9].nmt, name)()
    _, state = COMMANDS[name]
    assert network[9].nmt.state is node.nmt_state is state


def test_a_state_that_was_told_before_the_command_does_not_count(network, bus):
    device(network, bus)
    network[9].nmt.start()
    before = network[9].nmt.life.count
    network[9].nmt.start()
    assert network[9].nmt.life.count == before + 1


def test_a_node_that_does_not_follow_is_named_with_what_it_told(network, bus):
    node = device(network, bus, refuses_start_on_error=True)
    node.emcy(0x8110, 0x11, b"", network.clock.now())
    began = network.clock.now()
    with pytest.raises(NmtStateNotReached, match="node 9 told PRE-OPERATIONAL") as caught:
        network[9].nmt.start()
    assert isinstance(caught.value, NotDone) and caught.value.told == {9: "PRE-OPERATIONAL"}
    assert network.clock.now() - began == pytest.approx(0.7, abs=0.02)  # two heartbeats and the network's time-out
    with pytest.raises(NmtStateNotReached, match=r"within 0\.3 s"):
        network[9].nmt.start(timeout_s=0.3)


@pytest.mark.parametrize("name", ["start", "stop", "pre_operational"])
def test_a_node_that_is_not_there_is_told_with_why_and_the_command_was_sent(network, bus, name):
    with pytest.raises(SdoTimeout, match="1017:00") as caught:
        getattr(network[9].nmt, name)()
    assert caught.value.why
    network.sleep(0.01)
    assert COMMANDS[name][0] + b"\x09" in [frame.data for frame in bus.other.receive() if not frame.can_id]
    began = network.clock.now()
    network.nmt.start()
    assert network.clock.now() == began  # nobody was heard


@pytest.mark.parametrize("name", ["start", "stop", "pre_operational"])
def test_a_node_without_heartbeat_is_asked_for_1017h_and_not_waited_for(network, bus, name):
    node = SimNode(load("stepim"), 9)
    bus.attach(node, "node")
    network[9][0x1017].write(0)
    network[9].view.reset()
    began = network.clock.now()
    getattr(network[9].nmt, name)()
    network.sleep(0.01)
    assert node.nmt_state is COMMANDS[name][1] and network.clock.now() - began < 0.1
    getattr(network[9].nmt, name)()  # and now that is known
    assert network.clock.now() - began < 0.1


@pytest.mark.parametrize("name", ["start", "stop", "pre_operational"])
@pytest.mark.parametrize("whose", ["one", "all"])
def test_a_heartbeat_that_was_not_heard_yet_is_waited_for_by_1017h(name, whose):
    with opendiag.connect("sim:stepim", clock=ManualClock()) as network:
        network.sleep(0.2)  # it has booted, and beats every 2 s
        getattr((network[101] if whose == "one" else network).nmt, name)()
        assert network[101].nmt.state is COMMANDS[name][1]
        assert 0.5 < network.clock.now() < 3.5


def test_a_node_that_answered_but_told_nothing_yet_counts_among_all(bus):
    """Who comes to a bus that runs already has heard no boot-up."""
    node = SimNode(load("stepim"), 9)
    bus.attach(node, "node")
    with opendiag.connect(bus, clock=ManualClock()) as first:
        first.sleep(0.5)
        with opendiag.connect(bus, clock=first.clock) as network:
            network[9][0x1000].read()
            assert network[9].nmt.state is None
            network.nmt.start()
            assert network[9].nmt.state is node.nmt_state is NmtState.OPERATIONAL


@pytest.mark.parametrize("name", ["start", "stop", "pre_operational"])
def test_a_node_that_is_lost_does_not_follow_in_silence(network, bus, name):
    node = device(network, bus)
    getattr(network[9].nmt, name)()
    node.power_off()
    network.sleep(1)
    assert network[9].nmt.lost and network[9].nmt.state is COMMANDS[name][1]
    assert "lost, was " in repr(network[9].nmt)
    for nmt in (network[9].nmt, network.nmt):
        with pytest.raises(NmtStateNotReached, match="node 9 told nothing") as caught:
            getattr(nmt, name)()
        assert caught.value.told == {9: None}
    with pytest.raises(NmtStateNotReached):
        network[9].nmt.wait_for(COMMANDS[name][1], 1)


@pytest.mark.parametrize("state", ["OPERATIONAL", "operational", 5])
def test_a_state_by_its_name(network, bus, state):
    device(network, bus)
    network[9].nmt.start()
    network[9].nmt.wait_for(state, 0)


@pytest.mark.parametrize(("state", "error"), [("RUNNING", ValueError), (6, ValueError), (None, TypeError)])
def test_what_is_no_state_is_refused(network, state, error):
    with pytest.raises(error, match="NMT state"):
        network[9].nmt.wait_for(state, 1)


def test_a_reset_waits_for_the_boot_up_message(network, bus):
    device(network, bus, boot_s=2.0)
    before = network[9].nmt.life.boot_ups
    began = network.clock.now()
    network[9].nmt.reset()
    assert network[9].nmt.life.boot_ups == before + 1
    assert network.clock.now() - began == pytest.approx(2.0, abs=0.05)


def test_a_reset_of_a_node_that_is_not_there_is_told(network):
    with pytest.raises(NmtStateNotReached, match=r"within 5 s .*node 9 told nothing"):
        network[9].nmt.reset()


def test_all_nodes_with_a_heartbeat_are_awaited_and_those_that_stay_are_named(network, bus):
    for node_id in (3, 4):
        device(network, bus, node_id)
    device(network, bus, 5, refuses_start_on_error=True).emcy(0x8110, 0x11, b"", network.clock.now())
    with pytest.raises(NmtStateNotReached) as caught:
        network.nmt.start()
    assert caught.value.told == {5: "PRE-OPERATIONAL"}
    assert network.nmt.states == {
        3: NmtState.OPERATIONAL,
        4: NmtState.OPERATIONAL,
        5: NmtState.PRE_OPERATIONAL,
    }
    network.nmt.reset()
    assert set(network.nmt.states.values()) == {NmtState.PRE_OPERATIONAL}


def test_waiting_for_a_state(network, bus):
    node = device(network, bus)
    network[9].nmt.wait_for(NmtState.PRE_OPERATIONAL, 1)
    with pytest.raises(NmtStateNotReached, match="OPERATIONAL was not told within 1 s: node 9 told PRE-OPERATIONAL"):
        network[9].nmt.wait_for(NmtState.OPERATIONAL, 1)
    bus.other.send(Frame(0x000, b"\x01\x09"))
    began = network.clock.now()
    network[9].nmt.wait_for(NmtState.OPERATIONAL, 1)
    assert network.clock.now() - began < 0.11 and node.nmt_state is NmtState.OPERATIONAL


def test_in_a_callback_a_command_may_be_sent_but_not_confirmed(network, bus):
    device(network, bus)
    problems = []

    def restart(event):
        if event.state is NmtState.STOPPED:
            with pytest.raises(BlockingCall):
                network[9].nmt.start()
            network[9].nmt.start(confirm=False)
            problems.append(event)

    network.on(StateChanged, restart)
    bus.other.send(Frame(0x000, b"\x02\x09"))
    network.sleep(0.5)
    assert len(problems) == 1 and network[9].nmt.state is NmtState.OPERATIONAL


def test_a_legacy_boot_up_confirms_a_reset(network, bus):
    device(network, bus, legacy_boot_up=True)
    began = network.clock.now()
    network[9].nmt.reset()
    assert network.clock.now() - began < 0.1
