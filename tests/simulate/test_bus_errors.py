"""The simulated bus when something is wrong with it: acknowledge, bit rates, bus-off, two senders of one identifier."""

from itertools import pairwise

import pytest

from opendiag.errors import SendFailed
from opendiag.frame import Frame
from opendiag.simulate.bits import INTERMISSION_BITS, frame_bits
from opendiag.simulate.bus import SimBus
from opendiag.simulate.faults import Fault

RATE = 500_000
NO_ACK, BUS_OFF, RESTARTED, CONTROLLER = 0x020, 0x040, 0x100, 0x004


def frames_only(station):
    return [frame.can_id for frame in station.receive() if not frame.error]


# --- acknowledge ----------------------------------------------------------------------------------------------------


def test_a_lone_station_tries_for_ever_and_stays_error_passive():
    bus = SimBus(RATE)
    alone = bus.attach()
    alone.send(Frame(0x123, b"\1"))
    bus.run_until(0.001)
    assert alone.state == "error-active" and alone.tec > 0
    bus.run_until(1.0)
    assert (alone.state, alone.tec, alone.pending, alone.sent) == ("error-passive", 128, 1, 0)
    reports = alone.receive()
    assert len(reports) == bus.statistics().error_frames > 1000
    assert all(frame.error and frame.can_id & NO_ACK and frame.data[3] == 0x19 for frame in reports)
    assert [frame.data[6] for frame in reports[:17]] == [*range(8, 129, 8), 128]
    # Warning at 96, passive at 128, each told once.
    assert [n for n, frame in enumerate(reports) if frame.can_id & CONTROLLER] == [11, 15]
    assert (reports[11].data[1], reports[15].data[1]) == (0x08, 0x20)


def test_an_attempt_without_acknowledge_is_as_long_as_it_should_be():
    bus = SimBus(RATE)
    alone = bus.attach()
    frame = Frame(0x123, b"\1")
    alone.send(frame)
    bus.run_until(0.01)
    # Up to the acknowledge slot, error flag 6, delimiter 8, intermission 3; error-passive: 8 more.
    attempt = frame_bits(frame) - 8 + 6 + 8 + INTERMISSION_BITS
    times = [report.time_ns for report in alone.receive()]
    gaps = {round((later - earlier) * 1e-9 * RATE) for earlier, later in pairwise(times[:15])}
    assert gaps == {attempt}
    assert round((times[17] - times[16]) * 1e-9 * RATE) == attempt + 8


def test_the_second_station_ends_it():
    bus = SimBus(RATE)
    alone = bus.attach()
    alone.send(Frame(0x123))
    bus.run_until(1.0)
    alone.receive()
    other = bus.attach()
    bus.run_until(1.001)
    assert frames_only(other) == [0x123]
    assert (alone.pending, alone.tec, alone.state) == (0, 127, "error-active")
    assert alone.receive()[-1].data[1] == 0x40


def test_listen_only_does_not_acknowledge():
    bus = SimBus(RATE)
    alone, ear = bus.attach(), bus.attach(listen_only=True)
    alone.send(Frame(0x123))
    bus.run_until(0.1)
    assert alone.sent == 0 and alone.tec == 128
    assert frames_only(ear) == [] and ear.rec == 0


def test_one_shot_tries_once():
    bus = SimBus(RATE)
    alone = bus.attach(one_shot=True)
    for can_id in (1, 2):
        alone.send(Frame(can_id))
    bus.run_until(1.0)
    assert (alone.tec, alone.pending, alone.dropped, len(alone.receive())) == (16, 0, 2, 2)
    assert bus.next_event() is None


def test_without_bit_rate_a_lone_frame_waits_for_company():
    bus = SimBus(None)
    alone = bus.attach()
    alone.send(Frame(0x123))
    bus.run_until(1.0)
    assert (alone.tec, alone.pending, len(alone.receive())) == (128, 1, 16)
    assert bus.next_event() is None
    other = bus.attach()
    bus.run_until(1.0)
    assert frames_only(other) == [0x123] and alone.pending == 0


# --- bit rates ------------------------------------------------------------------------------------------------------


def test_a_station_with_another_bit_rate_breaks_frames_until_it_is_error_passive():
    bus = SimBus(RATE)
    good, peer = bus.attach(name="good"), bus.attach(name="peer")
    wrong = bus.attach(name="wrong", bit_rate=250_000)
    good.send(Frame(0x123, bytes(8)))
    bus.run_until(1.0)
    # 9 for each: after 15 it is beyond 127; the sender is at 120 then, and at 119 after the frame is through.
    assert bus.statistics().error_frames == 15
    assert (wrong.rec, wrong.state) == (135, "error-passive")
    assert (good.tec, good.state, good.pending) == (119, "error-active", 0)
    assert peer.rec == 14 and frames_only(peer) == [0x123]
    assert frames_only(wrong) == []


def test_its_own_frames_bring_it_to_bus_off():
    bus = SimBus(RATE)
    good, peer = bus.attach(name="good"), bus.attach(name="peer")
    wrong = bus.attach(name="wrong", bit_rate=250_000)
    wrong.send(Frame(0x123, bytes(8)))
    wrong.send(Frame(0x124))
    bus.run_until(1.0)
    assert wrong.state == "bus-off" and bus.statistics().error_frames == 32
    assert (wrong.pending, wrong.dropped) == (0, 2)
    last = wrong.receive()[-1]
    assert last.can_id & BUS_OFF and last.data[6] == 255
    assert (good.rec, peer.rec) == (32, 32)
    good.send(Frame(1))
    bus.run_until(2.0)
    assert frames_only(peer) == [1]


def test_the_bits_of_a_slower_station_are_longer():
    bus = SimBus(RATE)
    bus.attach()
    wrong = bus.attach(bit_rate=250_000)
    wrong.send(Frame(0x123, bytes(8)))
    bus.run_until(1.0)
    # 13 of its bits, flag and echo, delimiter, intermission.
    assert bus.statistics().error_bits == 32 * (26 + 6 + 6 + 8 + 3)


def test_two_bit_rates_at_the_same_time_break_each_other():
    bus = SimBus(RATE)
    good, peer = bus.attach(), bus.attach()
    wrong = bus.attach(bit_rate=250_000)
    wrong.rec = 128
    for station in (good, wrong):
        station.send(Frame(1))
    bus.run_until(1.0)
    assert frames_only(peer) == [1] and good.tec == 7
    assert wrong.state == "bus-off" and bus.statistics().error_frames == 32


def test_two_with_the_same_wrong_bit_rate_understand_each_other():
    bus = SimBus(RATE)
    a, b = bus.attach(bit_rate=125_000), bus.attach(bit_rate=125_000)
    a.send(Frame(1))
    bus.run_until(1.0)
    assert frames_only(b) == [1] and bus.statistics().error_frames == 0


def test_a_listen_only_station_with_another_bit_rate_hears_errors_and_harms_nobody():
    bus = SimBus(RATE)
    a, b = bus.attach(), bus.attach()
    ear = bus.attach(listen_only=True, bit_rate=125_000)
    for can_id in range(5):
        a.send(Frame(can_id))
    bus.run_until(1.0)
    assert frames_only(b) == [0, 1, 2, 3, 4] and a.tec == 0
    heard = ear.receive()
    assert len(heard) == 5 and all(frame.error for frame in heard)


def test_a_bus_without_bit_rate_has_no_wrong_one():
    with pytest.raises(ValueError, match="this bus has none"):
        SimBus(None).attach(bit_rate=125_000)


# --- bus-off --------------------------------------------------------------------------------------------------------


def broken(**options):
    """Every frame of station "a" is destroyed, the first 32 times."""
    bus = SimBus(RATE, faults=[Fault("error", sender="a", limit=32)])
    return bus, bus.attach(name="a", **options), bus.attach(name="b")


def test_bus_off_after_32_errors_and_only_recover_ends_it():
    bus, a, b = broken()
    a.send(Frame(0x123))
    bus.run_until(10.0)
    assert (a.state, a.tec, a.dropped, b.rec) == ("bus-off", 256, 1, 32)
    assert [report.data[6] for report in a.receive()] == [*range(8, 256, 8), 255]
    with pytest.raises(SendFailed, match=r"bus-off; recover\(\) brings it back"):
        a.send(Frame(1))
    b.send(Frame(5))
    bus.run_until(10.01)
    assert frames_only(a) == [] and b.pending == 1, "nobody acknowledges"
    a.recover()
    a.recover()
    bus.run_until(10.01 + 1407 / RATE)
    assert a.state == "bus-off"
    bus.run_until(11.0)
    assert (a.state, a.tec, a.rec) == ("error-active", 0, 0)
    assert [frame.can_id & RESTARTED for frame in a.receive() if frame.error] == [RESTARTED]
    assert b.pending == 0
    a.send(Frame(1))
    bus.run_until(12.0)
    assert 1 in frames_only(b)


def test_who_is_bus_off_hears_nothing():
    bus, a, b = broken()
    c = bus.attach()
    a.send(Frame(0x123))
    bus.run_until(1.0)
    b.send(Frame(5))
    bus.run_until(2.0)
    assert frames_only(c) == [5] and frames_only(a) == []


def test_after_a_restart_everything_is_told_again():
    bus = SimBus(RATE, faults=[Fault("error", sender="a")])
    a = bus.attach(name="a", restart_s=0.0)
    bus.attach()
    for time in (1.0, 2.0):
        a.send(Frame(0x123))
        bus.run_until(time)
    told = [frame.data[1] for frame in a.receive() if frame.can_id & CONTROLLER]
    assert told == [0x08, 0x20] * 2


def test_automatic_restart():
    bus, a, _ = broken(restart_s=0.5)
    a.send(Frame(0x123))
    bus.run_until(0.5)
    assert a.state == "bus-off"
    bus.run_until(0.52)
    assert a.state == "error-active"


def test_recover_without_bus_off_does_nothing():
    bus, a, _ = broken()
    a.recover()
    assert bus.next_event() is None


@pytest.mark.parametrize("restart_s", [-1.0, float("nan")])
def test_restart_is_seconds(restart_s):
    with pytest.raises(ValueError, match="restart_s"):
        SimBus().attach(restart_s=restart_s)


def test_receive_errors_make_passive_and_good_frames_make_active_again():
    bus = SimBus(RATE)
    a, b = bus.attach(), bus.attach()
    b.rec = 130
    assert b.state == "error-passive"
    a.send(Frame(1))
    bus.run_until(1.0)
    assert (b.rec, b.state) == (127, "error-active")
    a.send(Frame(1))
    bus.run_until(2.0)
    assert b.rec == 126


def test_an_error_costs_bits():
    bus = SimBus(RATE, faults=[Fault("error", nth=1)])
    a, b = bus.attach(), bus.attach()
    frame = Frame(0x123, bytes(8))
    a.send(frame)
    bus.run_until(1.0)
    counted = bus.statistics()
    # Half of the frame, flag and echo, delimiter, intermission.
    assert counted.error_bits == frame_bits(frame) // 2 + 6 + 6 + 8 + 3
    assert counted.load == pytest.approx((counted.error_bits + frame_bits(frame) + 3) / RATE, rel=1e-12)
    assert (counted.error_frames, counted.frames, a.tec, b.rec) == (1, 1, 7, 0)
    error, good = b.receive()
    assert error.error and error.data[2] == 0x04 and error.data[7] == 1
    assert good.can_id == 0x123


# --- two senders of one identifier ----------------------------------------------------------------------------------


def test_the_same_frame_from_two_stations_is_one_frame():
    bus = SimBus(RATE)
    a, b, c = bus.attach(), bus.attach(), bus.attach()
    for station in (a, b):
        station.send(Frame(0x701, b"\5"))
    bus.run_until(1.0)
    counted = bus.statistics()
    assert frames_only(c) == [0x701] and frames_only(a) == frames_only(b) == []
    assert (counted.sent, counted.frames, counted.error_frames) == (2, 1, 0)


@pytest.mark.parametrize("bit_rate", [RATE, None])
def test_different_data_with_one_identifier_collide_until_one_gives_up(bit_rate):
    bus = SimBus(bit_rate)
    a, b, c = bus.attach(name="a"), bus.attach(name="b"), bus.attach()
    a.send(Frame(0x585, b"\x43\0"))
    b.send(Frame(0x585, b"\x80\0"))
    bus.run_until(1.0)
    counted = bus.statistics()
    assert [frame.data[0] for frame in c.receive() if not frame.error] == [0x43, 0x80]
    # 16 collisions make both error-passive; then the recessive one gives up without harm to the other.
    assert (counted.error_frames, counted.sent, counted.frames) == (16, 2, 2)
    assert (a.tec, b.tec) == (127, 135)


def test_a_station_that_vanishes_while_two_send():
    bus = SimBus(RATE)
    a, b, c = bus.attach(), bus.attach(), bus.attach()
    for station in (a, b):
        station.send(Frame(0x701, b"\5"))
    bus.run_until(10 / RATE)
    bus.detach(a)
    bus.run_until(1.0)
    assert frames_only(c) == [0x701] and (a.dropped, b.sent) == (1, 1)


def test_who_gives_up_does_not_acknowledge():
    bus = SimBus(RATE)
    a, b = bus.attach(), bus.attach()
    a.send(Frame(0x585, b"\x43"))
    b.send(Frame(0x585, b"\x80"))
    bus.run_until(1.0)
    assert (b.state, b.dropped) == ("bus-off", 1)
    assert (a.state, a.tec, a.pending) == ("error-passive", 128, 1)


def test_one_that_gives_up_vanishes():
    bus = SimBus(RATE)
    a, b, c = bus.attach(), bus.attach(one_shot=True), bus.attach()
    b.tec = 128
    a.send(Frame(0x585, b"\x43"))
    b.send(Frame(0x585, b"\x80"))
    bus.run_until(10 / RATE)
    bus.detach(b)
    bus.run_until(1.0)
    assert frames_only(c) == [0x585] and (b.tec, b.dropped) == (128, 1)
