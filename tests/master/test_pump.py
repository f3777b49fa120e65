"""Who reads the bus when several threads wait, how they hand it over, and how a wait ends when the bus is gone."""

import os
import signal
import threading
import time
from itertools import groupby, pairwise

import pytest

from opendiag.errors import AdapterClosed, BlockingCall, SendFailed
from opendiag.frame import Frame
from opendiag.master import pump as pump_module
from opendiag.master.clock import ManualClock, RealClock
from opendiag.master.network import Network
from opendiag.master.pump import Pump

#: In place of the 0.1 s after which a follower looks itself: a wake-up that is lost cannot be overlooked then.
PATIENCE_S = 20.0
SOON_S = 2.0


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch):
    monkeypatch.setattr(pump_module, "_PATIENCE_S", PATIENCE_S)


class FakePort:
    """Gives the frames it was given. ``reads`` lists (thread, began, ended) of every look at it."""

    name = "fake"
    listen_only = False

    def __init__(self, threaded=False):
        self.runs_in_thread = threaded
        self.changed = threading.Condition()
        self.frames = []
        self.sent = []
        self.reads = []
        self.error = None
        self.send_error = None
        self.clock = RealClock()

    def put(self, *frames):
        with self.changed:
            self.frames += frames
            self.changed.notify_all()

    def fail(self, error):
        with self.changed:
            self.error = error
            self.changed.notify_all()

    def send(self, frame):
        if self.send_error is not None:
            raise self.send_error
        self.sent.append(frame)

    def receive(self, until):
        began = time.perf_counter()
        with self.changed:
            self.changed.wait_for(lambda: self.frames or self.error, max(until - self.clock.now(), 0))
            frames, self.frames = self.frames, []
            self.reads.append((threading.get_ident(), began, time.perf_counter()))
            if self.error is not None:
                raise self.error
            return frames

    def close(self):
        self.fail(AdapterClosed(self.name, "closed"))


class Flag:
    done = False


class Marks:
    """Raises the flag of a frame's CAN-ID."""

    def __init__(self, count):
        self.flags = [Flag() for _ in range(count)]

    def received(self, frame, now):
        self.flags[frame.can_id].done = True

    def sent(self, frame, now):
        pass

    def send_failed(self, frame, reason, now):
        pass


class Waiting(threading.Thread):
    """Waits for a flag, and knows how that ended and when."""

    def __init__(self, pump, flag, until=None):
        super().__init__(daemon=True)
        self.pump, self.flag, self.until = pump, flag, until
        self.answer = self.error = self.ended_at = None
        self.start()

    def run(self):
        try:
            self.answer = self.pump.wait(self.flag, self.until)
        except BaseException as error:
            self.error = error
        self.ended_at = time.perf_counter()


@pytest.fixture
def port():
    return FakePort()


@pytest.fixture
def pump(port):
    made = Pump(port, port.clock, lambda machine, event, now: None, lambda error: None)
    yield made
    made.close()


def until(condition, seconds=SOON_S):
    """Look often whether it is so; a test that needs longer than that fails."""
    ends = time.perf_counter() + seconds
    while not condition():
        assert time.perf_counter() < ends, "it does not happen"
        time.sleep(0.0005)


def asleep(pump, count):
    """So many wait, all but the reader for their event."""
    return lambda: sum(waiter.event is not None for waiter in pump._waiters) == count - 1


# --- leader and followers ---


def test_what_is_done_already_costs_no_look_at_the_bus(pump, port):
    flag = Flag()
    flag.done = True
    assert pump.wait(flag) is True
    assert not port.reads


def test_a_wait_ends_at_its_moment(pump, port):
    began = port.clock.now()
    assert pump.wait(Flag(), began + 0.05) is False
    assert 0.05 <= port.clock.now() - began < 0.05 + SOON_S


def test_a_leader_that_leaves_wakes_a_follower_at_once(pump, port):
    """Eight wait; each time it is the reader's frame that comes, so that the reading changes hands seven times."""
    marks = Marks(8)
    pump.listen(marks)
    threads = {}
    for flag in marks.flags:
        thread = Waiting(pump, flag)
        threads[thread.ident] = thread
    until(asleep(pump, 8))
    until(lambda: port.reads)
    reader = threads[port.reads[0][0]]
    for _ in range(8):
        port.put(Frame(marks.flags.index(reader.flag)))
        reader.join(SOON_S)
        assert reader.answer is True
        if any(thread.is_alive() for thread in threads.values()):
            until(lambda: threads[port.reads[-1][0]].is_alive())
            reader = threads[port.reads[-1][0]]
    readers = [ident for ident, _ in groupby(port.reads, key=lambda read: read[0])]
    assert sorted(readers) == sorted(threads)
    ends = {ident: max(ended for other, _, ended in port.reads if other == ident) for ident in readers}
    starts = {ident: min(began for other, began, _ in port.reads if other == ident) for ident in readers}
    hand_overs = [starts[after] - ends[before] for before, after in pairwise(readers)]
    assert sorted(hand_overs)[3] < 0.05, f"hand-overs took {hand_overs}"


def test_the_reader_wakes_whose_frame_it_reads_and_goes_on(pump, port):
    marks = Marks(3)
    pump.listen(marks)
    threads = [Waiting(pump, flag) for flag in marks.flags]
    until(asleep(pump, 3))
    until(lambda: port.reads)
    reader = port.reads[-1][0]
    served = [place for place, thread in enumerate(threads) if thread.ident != reader]
    for place in served:
        put_at = time.perf_counter()
        port.put(Frame(place))
        threads[place].join(SOON_S)
        assert threads[place].answer is True
        assert threads[place].ended_at - put_at < SOON_S
    assert {ident for ident, _, _ in port.reads} == {reader}
    (last,) = {0, 1, 2} - set(served)
    port.put(Frame(last))
    threads[last].join(SOON_S)
    assert threads[last].answer is True


def test_a_follower_leaves_at_its_own_moment(pump, port):
    marks = Marks(2)
    pump.listen(marks)
    leader = Waiting(pump, marks.flags[0])
    until(lambda: port.reads)
    follower = Waiting(pump, marks.flags[1], port.clock.now() + 0.05)
    follower.join(SOON_S)
    assert follower.answer is False
    port.put(Frame(0))
    leader.join(SOON_S)
    assert leader.answer is True


def test_whoever_catches_up_wakes_those_whose_frames_it_took(pump, port):
    """The reader has just left, nobody is woken yet, and a third thread begins a transfer."""
    marks = Marks(1)
    pump.listen(marks)
    assert pump._reading.acquire(timeout=SOON_S)
    follower = Waiting(pump, marks.flags[0])
    until(lambda: pump._waiters and pump._waiters[0].event is not None)
    time.sleep(0.02)
    port.put(Frame(0))
    pump._reading.release()
    with pump.lock:
        pump.catch_up()
    assert marks.flags[0].done
    follower.join(SOON_S)
    assert follower.answer is True


def test_whoever_catches_up_leaves_the_reading_to_somebody(pump, port):
    """As before, but it was not the follower's frame that came."""
    marks = Marks(2)
    pump.listen(marks)
    assert pump._reading.acquire(timeout=SOON_S)
    follower = Waiting(pump, marks.flags[0])
    until(lambda: pump._waiters and pump._waiters[0].event is not None)
    time.sleep(0.02)
    port.put(Frame(1))
    pump._reading.release()
    with pump.lock:
        pump.catch_up()
    port.put(Frame(0))
    follower.join(SOON_S)
    assert follower.answer is True


# --- the thread of its own ---


def test_a_thread_reads_while_nobody_waits():
    port = FakePort(threaded=True)
    marks = Marks(3)
    pump = Pump(port, port.clock, lambda machine, event, now: None, lambda error: None)
    pump.listen(marks)
    pump.start()
    try:
        port.put(Frame(0))
        until(lambda: marks.flags[0].done)
        waiting = Waiting(pump, marks.flags[1])
        until(lambda: port.reads[-1][0] == waiting.ident)
        port.put(Frame(1))
        waiting.join(SOON_S)
        assert waiting.answer is True
        port.put(Frame(2))
        until(lambda: marks.flags[2].done)
        assert port.reads[-1][0] not in (waiting.ident, threading.get_ident())
    finally:
        pump.close()
    assert not any(thread.name == "opendiag fake" for thread in threading.enumerate())


def test_deadlines_are_kept_while_nobody_waits():
    port = FakePort(threaded=True)
    with Network(port, port.clock, timeout_s=0.05) as network:
        pending = network[5].begin_upload(0x1000)
        until(lambda: pending.done)
        assert pending.transfer.attempts == 2
    assert [frame.data[0] for frame in port.sent] == [0x40, 0x80, 0x40, 0x80]


def test_a_thread_that_serves_others_may_not_wait(pump):
    caught = []

    def serve():
        pump.check_may_wait("this")
        pump.forbid_waiting()
        try:
            pump.check_may_wait("that")
        except BlockingCall as error:
            caught.append(str(error))

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()
    assert len(caught) == 1
    assert "that" in caught[0]
    pump.check_may_wait("this")


def test_a_listener_on_the_reading_thread_may_not_wait():
    port = FakePort(threaded=True)
    caught = []

    class Asking(Marks):
        def received(self, frame, now):
            try:
                network[5].upload(0x1000)
            except BlockingCall as error:
                caught.append(error)
            super().received(frame, now)

    with Network(port, port.clock) as network:
        asking = Asking(1)
        network.pump.listen(asking)
        port.put(Frame(0))
        until(lambda: asking.flags[0].done)
    assert len(caught) == 1
    assert not port.sent


# --- the end of a wait by force ---


def test_an_interrupt_cancels_the_transfer_and_tells_the_node(port):
    with Network(port, port.clock, timeout_s=30) as network:
        pending = network[5].begin_upload(0x1018, 1)
        port.error = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            pending.result()
        assert [frame.data.hex() for frame in port.sent] == ["4018100100000000", "8018100100000008"]
        assert network[5].client.pending == 0
        port.error = None
        with pytest.raises(TimeoutError, match="it goes on"):  # others can still read
            network[6].begin_upload(0x1000).result(0.02)


def test_control_c_reaches_a_follower(port):
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals come to the main thread")
    with Network(port, port.clock, timeout_s=30) as network:
        leader = Waiting(network.pump, Flag())
        until(lambda: port.reads)
        follows = asleep(network.pump, 2)

        def interrupt():
            until(follows)
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            network[5].upload(0x1018, 1)
        thread.join()
        assert [frame.data.hex() for frame in port.sent] == ["4018100100000000", "8018100100000008"]
        assert leader.is_alive()
    leader.join(SOON_S)
    assert isinstance(leader.error, AdapterClosed)


@pytest.mark.parametrize("threaded", [False, True])
def test_an_adapter_that_goes_ends_every_wait(threaded):
    port = FakePort(threaded)
    with Network(port, port.clock, timeout_s=30) as network:
        waiting = [Waiting(network.pump, Flag()) for _ in range(6)]
        until(lambda: len(network.pump._waiters) == 6)
        gone_at = time.perf_counter()
        port.fail(AdapterClosed("fake", "gone: unplugged"))
        for thread in waiting:
            thread.join(SOON_S)
            assert isinstance(thread.error, AdapterClosed)
            assert "unplugged" in str(thread.error)
            assert thread.ended_at - gone_at < 1.0
        with pytest.raises(AdapterClosed, match="unplugged"):
            network[5].upload(0x1000)
        with pytest.raises(AdapterClosed, match="unplugged"):
            network.send(Frame(1))


def test_closing_ends_every_wait(port):
    network = Network(port, port.clock, timeout_s=30)
    waiting = [Waiting(network.pump, Flag()) for _ in range(3)]
    until(lambda: len(network.pump._waiters) == 3)
    network.close()
    for thread in waiting:
        thread.join(1.0)
        assert isinstance(thread.error, AdapterClosed)


# --- sending ---


def test_what_cannot_be_sent_is_told_to_the_watch(port):
    with Network(port, port.clock, timeout_s=0.03) as network:
        port.send_error = SendFailed("fake", "the queue is full")
        with pytest.raises(SendFailed, match="the queue is full"):
            network.send(Frame(0x123))
        assert [reason for _, reason in network.watch.send_failures] == ["the queue is full"]
        with pytest.raises(TimeoutError):
            network[5].upload(0x1000)
        assert network.watch.send_failure_count > 2
        port.send_error = None
        network.send(Frame(0x123))
        assert port.sent == [Frame(0x123)]


def test_an_adapter_that_goes_while_sending_ends_it(port):
    with Network(port, port.clock, timeout_s=30) as network:
        port.send_error = AdapterClosed("fake", "gone")
        began = time.perf_counter()
        with pytest.raises(AdapterClosed, match="gone"):
            network[5].upload(0x1000)
        assert time.perf_counter() - began < 1.0


def test_listeners_hear_in_the_order_of_the_frames_and_may_leave(pump, port):
    class Notes(Marks):
        def __init__(self):
            self.seen = []

        def received(self, frame, now):
            self.seen.append(("rx", frame.can_id))

        def sent(self, frame, now):
            self.seen.append(("tx", frame.can_id))

    stays, leaves = Notes(), Notes()
    pump.listen(stays)
    pump.listen(leaves)
    with pump.lock:
        pump.send(Frame(1), 0.0)
    port.put(Frame(2), Frame(3))
    pump.wait(Flag(), port.clock.now() + 0.005)
    pump.unlisten(leaves)
    pump.send(Frame(4), 0.0)
    assert stays.seen == [("tx", 1), ("rx", 2), ("rx", 3), ("tx", 4)]
    assert leaves.seen == stays.seen[:3]


def test_a_sleep_on_a_manual_clock_takes_no_time():
    class Still(FakePort):
        def receive(self, moment):
            clock.sleep_until(moment)
            return []

    clock, port = ManualClock(), Still()
    with Network(port, clock) as network:
        began = time.perf_counter()
        network.sleep(30)
        assert clock.now() == pytest.approx(30)
        assert time.perf_counter() - began < SOON_S


# --- deadlines ---


class Alarm:
    """A machine with one deadline. ``calls`` lists what happened to it."""

    def __init__(self, pump, due):
        self.pump, self.due = pump, due
        self.calls, self.unlocked = [], 0

    def receive(self, frame, now):
        self.calls.append(frame.can_id)

    def tick(self, now):
        self.calls.append("tick")
        self.ticked_at, self.due = now, None

    def deadline(self):
        self.unlocked += not self.pump.owned
        return self.due

    def frames_to_send(self):
        return []

    def events(self):
        return []


def test_machines_are_asked_for_their_deadline_with_the_lock_held(pump, port):
    """Their state is changed by other threads meanwhile."""
    alarm = Alarm(pump, port.clock.now() + 0.01)
    with pump.lock:
        pump.keep(alarm)
    pump.wait(Flag(), port.clock.now() + 0.05)
    assert (alarm.calls, alarm.unlocked) == (["tick"], 0)


def test_no_deadline_is_called_missed_before_all_that_waited_was_taken(pump, port):
    """A driver that gives one frame at a time, and a host that was away for a second of a full bus."""
    waiting = [Frame(1)] * 5000 + [Frame(2)]
    port.receive = lambda until: [waiting.pop(0)] if waiting else FakePort.receive(port, until)
    alarm = Alarm(pump, port.clock.now() - 1.0)
    pump.add(alarm, 2)
    with pump.lock:
        pump.keep(alarm)
    pump.wait(Flag(), port.clock.now() + 0.2)
    assert alarm.calls == [2, "tick"]


def test_a_bus_that_is_faster_than_we_are_stops_no_deadline(pump, port, monkeypatch):
    monkeypatch.setattr(pump_module, "_BEHIND_S", 0.05)
    port.receive = lambda until: [Frame(1)]
    alarm = Alarm(pump, port.clock.now())
    with pump.lock:
        pump.keep(alarm)
    pump.wait(Flag(), port.clock.now() + 0.5)
    assert alarm.calls == ["tick"]


def test_after_a_stall_the_adapter_has_a_moment_to_hand_over_what_it_has(pump, port):
    """Its own thread was stopped as long as this one."""
    alarm = Alarm(pump, port.clock.now() + 0.01)
    pump.add(alarm, 2)
    with pump.lock:
        pump.keep(alarm)
    receive, looks = port.receive, []

    def stalled(until):
        looks.append(until)
        if len(looks) == 1:
            time.sleep(0.15)
            threading.Timer(0.003, port.put, [Frame(2)]).start()
            return []
        return receive(until)

    port.receive = stalled
    pump.wait(Flag(), port.clock.now() + 0.3)
    assert alarm.calls == [2, "tick"]


def test_an_earlier_deadline_ends_the_read_under_way(port, monkeypatch):
    monkeypatch.setattr(pump_module, "SLICE_S", 5.0)
    woken = []

    def interrupt():
        woken.append(True)
        port.put(Frame(3))

    port.interrupt = interrupt
    pump = Pump(port, port.clock, lambda machine, event, now: None, lambda error: None)
    thread = Waiting(pump, flag := Flag())
    until(lambda: pump._reading.locked())
    time.sleep(0.02)
    alarm = Alarm(pump, port.clock.now() + 0.01)
    due = alarm.due
    with pump.lock:
        pump.keep(alarm)
    until(lambda: alarm.calls)
    assert alarm.ticked_at - due < 1.0 and woken
    flag.done = True
    pump.close()
    thread.join(SOON_S)


def test_the_end_of_the_bus_is_told_once_however_many_notice_it(port):
    told = []
    pump = Pump(port, port.clock, lambda machine, event, now: None, told.append)
    thread = Waiting(pump, Flag())
    until(lambda: pump._reading.locked())
    port.send_error = AdapterClosed("fake", "unplugged")
    with pytest.raises(AdapterClosed), pump.lock:
        pump.send(Frame(1), 0.0)
    port.fail(AdapterClosed("fake", "gone"))
    thread.join(SOON_S)
    assert [str(error) for error in told] == [str(port.send_error)]
    assert thread.error is port.send_error
    pump.close()
