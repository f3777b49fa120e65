"""What callers give wrong is said to them in a sentence, before anything is sent."""

import pytest

import opendiag
from opendiag.errors import NotDone
from opendiag.master.clock import ManualClock
from opendiag.services.heartbeat import BootedUp, NodeLost
from opendiag.simulate.bus import SimBus

CALLS = {
    "wait_for a name": (lambda n: n.wait_for("boot", 1), TypeError, "event class or a function .* not 'boot'"),
    "wait_for a builtin": (lambda n: n.wait_for(int, 1), TypeError, "is no class of events"),
    "wait_for a node that cannot be": (lambda n: n.wait_for(BootedUp, 1, node_id=200), ValueError, "200 is outside"),
    "on a node that cannot be": (lambda n: n.on(BootedUp, print, node_id=200), ValueError, "200 is outside"),
    "on without a function": (lambda n: n.on(BootedUp, None), TypeError, "function to call is expected, not None"),
    "events of what is no class": (lambda n: n.events("boot"), TypeError, "is no class of events"),
    "subscribe without a function": (lambda n: n.subscribe(None), TypeError, "function to call is expected"),
    "a node-ID as text": (lambda n: n["5"], TypeError, "a node-ID is a whole number 1..127, not '5'"),
    "a node-ID that is True": (lambda n: n[True], TypeError, "a node-ID is a whole number"),
    "a node with text": (lambda n: n.node("5"), TypeError, "a node-ID is a whole number"),
    "an object that is True": (lambda n: n[5][True], TypeError, r"not node\[True\]"),
    "an object that is None": (lambda n: n[5][None], TypeError, r"not node\[None\]"),
    "scan of text": (lambda n: n.scan("5"), TypeError, r"as in \[5\] and range\(1, 11\), not '5'"),
    "scan of a number": (lambda n: n.scan(5), TypeError, "addresses are node-IDs"),
    "scan of texts": (lambda n: n.scan(["5"]), TypeError, "a node-ID is a whole number"),
    "map of a name": (lambda n: n[5].pdo.tpdo(1).map("Statusword"), TypeError, r"as in \['Statusword'\]"),
    "run of a number": (lambda n: n.run(42), TypeError, "a plan is expected, .* not 42"),
    "begin of a function": (lambda n: n.begin(print), TypeError, "a plan is expected"),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_mistake_is_said_before_anything_is_sent(name):
    bus = SimBus(None)
    other = bus.attach(name="other")
    call, error, text = CALLS[name]
    with opendiag.connect(bus, clock=ManualClock()) as network:
        with pytest.raises(error, match=text):
            call(network)
        network.sleep(0.1)
        assert other.receive() == []


def test_what_did_not_come_has_a_name_and_an_owner():
    with opendiag.connect(SimBus(None), clock=ManualClock()) as network:
        with pytest.raises(NotDone, match=r"^BootedUp of node 5 did not come within 1 s$"):
            network.wait_for(BootedUp, 1, node_id=5)
        with pytest.raises(NotDone, match=r"^BootedUp or NodeLost did not come within 1 s$"):
            network.wait_for((BootedUp, NodeLost), 1)

        def loud(event):
            return False

        with pytest.raises(NotDone, match="an event that loud agrees to did not come"):
            network.wait_for(loud, 1)
