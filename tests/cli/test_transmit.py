"""Sending at given times, on a simulated bus whose clock stands still while nobody waits."""

from __future__ import annotations

import errno

import pytest

from opendiag.cli.transmit import Full, Transmitter, is_full
from opendiag.errors import SendFailed
from opendiag.frame import Frame
from opendiag.master.clock import ManualClock
from opendiag.master.connect import connect


@pytest.fixture
def network():
    with connect("sim:stepim", clock=ManualClock(1000.0)) as made:
        yield made


def full():
    error = SendFailed("sim", "transmit queue full")
    error.__cause__ = OSError(errno.ENOBUFS, "No buffer space available")
    return error


def play(network, sender, moments):
    """When each frame was sent, after the start."""
    began = network.clock.now()
    sender.start()
    sent = []
    for frame in sender.paced((at, Frame(0x123)) for at in moments):
        sender.send(frame)
        sent.append(round(network.clock.now() - began, 4))
    return sent


def test_each_is_sent_when_it_is_due(network):
    sender = Transmitter(network)
    assert play(network, sender, [0, 0.01, 0.01, 0.5]) == [0, 0.01, 0.01, 0.5]
    assert (sender.sent, sender.not_sent, sender.late_s, sender.held_s) == (4, 0, 0, 0)


def test_a_delay_does_not_add_up(network, monkeypatch):
    """The second frame takes its time to send; the third comes when it is due all the same."""
    send = type(network).send

    def slow(self, frame):
        send(self, frame)
        self.clock.sleep_until(self.clock.now() + 0.004)

    monkeypatch.setattr(type(network), "send", slow)
    assert play(network, Transmitter(network), [0, 0.01, 0.02]) == [0.004, 0.014, 0.024]


def test_what_is_late_is_sent_at_once_and_said(network):
    sender = Transmitter(network)
    sender.start()
    network.clock.sleep_until(network.clock.now() + 0.25)
    assert [sender.send(frame) for frame in sender.paced([(0.0, Frame(1)), (0.1, Frame(2))])] == [True, True]
    assert sender.late_s == pytest.approx(0.25)


def test_after_a_long_stop_nothing_is_made_up_for(network, monkeypatch, capsys):
    """A laptop that slept: a burst of all the set values of meanwhile is nothing a drive should get."""
    send = type(network).send

    def once_asleep(self, frame):
        if self.clock.now() < 1000.005:
            self.clock.sleep_until(1010.0)
        send(self, frame)

    monkeypatch.setattr(type(network), "send", once_asleep)
    sender = Transmitter(network)
    assert play(network, sender, [0, 0.01, 0.02, 0.03]) == [10, 10, 10.01, 10.02]
    assert sender.elapsed_s == pytest.approx(10.02)
    sender.report()
    assert "sent up to 10.0 s late" in capsys.readouterr().err


def test_waiting_for_a_full_queue_shifts_all_that_follows(network, monkeypatch):
    send = type(network).send
    left = iter([True] * 20)

    def once_full(self, frame):
        if self.clock.now() > 1000.005 and next(left, False):
            raise full()
        send(self, frame)

    monkeypatch.setattr(type(network), "send", once_full)
    sender = Transmitter(network, patience_s=1.0)
    first, second, third = play(network, sender, [0, 0.01, 0.02])
    assert first == 0
    assert second == pytest.approx(0.01 + 0.02, abs=0.003)
    assert third - second == pytest.approx(0.01, abs=0.0005), "as far apart as they should be"
    assert sender.held_s == pytest.approx(0.02, abs=0.003)


def test_patience_ends(network, monkeypatch):
    def never(self, frame):
        raise full()

    monkeypatch.setattr(type(network), "send", never)
    sender = Transmitter(network, patience_s=0.1)
    with pytest.raises(Full, match="transmit queue full"):
        sender.send(Frame(1))
    assert network.clock.now() == pytest.approx(1000.1, abs=0.01)
    assert (sender.sent, sender.not_sent) == (0, 1)
    assert Transmitter(network, 0.0, skip_full=True).send(Frame(1)) is False


def test_what_can_never_be_sent_is_not_waited_for(network):
    sender = Transmitter(network, patience_s=10.0)
    assert sender.send(Frame(1, b"", fd=True)) is False
    assert dict(sender.refused) == {"the simulated bus has no CAN FD": 1}
    assert network.clock.now() < 1001


def test_what_has_not_left_at_the_end_was_not_sent(network, monkeypatch):
    """Nobody acknowledges: the frame waits in the controller for ever."""
    monkeypatch.setattr(type(network.port), "pending", 3)
    sender = Transmitter(network)
    sender.sent = 5
    sender.finish(0.05)
    assert (sender.sent, sender.not_sent) == (2, 3)


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (OSError(errno.ENOBUFS, "x"), True),
        (OSError(errno.EIO, "x"), False),
        (ValueError("Transmit buffer full"), True),
        (None, False),
    ],
)
def test_what_a_full_queue_looks_like(cause, expected):
    error = SendFailed("can0", "why")
    error.__cause__ = cause
    assert is_full(error) is expected
