"""The machine of a cyclic motion: no step is ever larger than planned, whatever is late, lost or stopped."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.cia402.cyclic_motion import CyclicMotion, Phase, Rules, Trouble
from opendiag.cia402.link import DriveLink
from opendiag.cia402.modes import Mode
from opendiag.cia402.pdo_words import AxisPdos, CyclicAxis, PdoWords, Place, RpdoBuffer, TpdoView
from opendiag.cia402.trajectory import extent, ramp, trapezoid
from opendiag.frame import Frame
from opendiag.services.plans import Now, SdoRead, SdoWrite

PERIOD_S = 0.001
ENABLED, SWITCHED_ON, FAULT = 0x1637, 0x1633, 0x1638


def axis(number=0, *, rides=False):
    """Node 1 or 2: set-points in 301h or 302h, the controlword in 201h or with the set-point, TPDOs 181h."""
    node_id = number + 1
    if rides:
        set_point, word = RpdoBuffer(0x300 + node_id, False, bytearray(6), Place(2, 4), Place(0, 2, False)), None
    else:
        set_point = RpdoBuffer(0x300 + node_id, False, bytearray(4), Place(0, 4))
        word = RpdoBuffer(0x200 + node_id, False, bytearray(2), None, Place(0, 2, False))
    view = TpdoView(0x180 + node_id, False, 6, Place(0, 2, False), Place(2, 4))
    link = DriveLink(node_id)
    link.permitted = True
    link.controlword = 0x0F
    return CyclicAxis(link, AxisPdos(set_point, word, (view,)), number)


def tpdo(number, word, position):
    return Frame(0x181 + number, word.to_bytes(2, "little") + position.to_bytes(4, "little", signed=True))


class World:
    """Drives that reach each set-point at once."""

    def __init__(self, *ways, mode=Mode.CSP, rules=None, rides=False):
        self.axes = [axis(number, rides=rides) for number in range(len(ways))]
        self.motion = CyclicMotion(self.axes, ways, PERIOD_S, mode, rules or Rules())
        self.now = 0.0
        self.words = [ENABLED] * len(ways)
        self.at = [0] * len(ways)
        self.sent = [[] for _ in ways]
        self.controlwords = []

    def cycle(self, answers=True, leaves=True):
        self.now += PERIOD_S
        frames = self.motion.cycle(self.now)
        self.motion.were_sent([] if leaves else [each for each, _ in frames], self.now)
        for each, frame in frames:
            self.heard(frame)
            if frame.can_id >= 0x300 and leaves:
                place = each.pdos.set_point.set_point
                self.at[each.number] = place.read(frame.data)
                self.sent[each.number].append(self.at[each.number])
        if answers:
            for number in range(len(self.axes)):
                self.motion.receive(tpdo(number, self.words[number], self.at[number]), self.now)
        for frame in self.motion.frames_to_send():
            self.heard(frame)

    def heard(self, frame):
        buffer = self.axes[(frame.can_id & 0x7F) - 1].pdos
        place = buffer.word.word if frame.can_id < 0x300 else buffer.set_point.word
        if place is not None:
            self.controlwords.append(place.read(frame.data))

    def begin(self):
        for _ in range(3):
            self.cycle()
        self.motion.watch()
        self.motion.follow(self.now)

    def run(self, most=20_000):
        for _ in range(most):
            if not self.motion.moving:
                return
            self.cycle()
        pytest.fail("it does not come to an end")


def steps(values):
    return [abs(after - before) for before, after in pairwise(values)]


def test_the_end_is_exact_and_takes_as_long_as_planned():
    way = trapezoid(0, 100_000, 200_000, 1_000_000)
    world = World(way, way)
    world.begin()
    world.run()
    assert world.motion.failure is None
    assert world.motion.set_points == (100_000, 100_000)
    assert world.motion.ended_at - world.motion.began_at == pytest.approx(way.duration_s, abs=1.001 * PERIOD_S)
    assert world.axes[0].following_error <= max(steps(world.sent[0])) * 3


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=400), st.integers(0, 400))
def test_no_step_is_larger_than_planned_whatever_is_lost_and_whenever_it_is_stopped(course, stop_at):
    way = trapezoid(0, 50_000, 200_000, 1_000_000)
    world = World(way, rules=Rules(silent_cycles=1000))
    world.begin()
    for number, (answers, leaves) in enumerate(course):
        if number == stop_at:
            world.motion.stop()
        world.cycle(answers, leaves)
    world.motion.stop()
    world.run()
    most = extent(way).velocity * PERIOD_S + 2
    unsent = sum(not leaves for _, leaves in course[stop_at:])
    assert max(steps(world.sent[0]), default=0) <= most * (1 + unsent)
    assert all(step <= most for step in steps(world.sent[0][:stop_at]))
    assert 0 <= world.sent[0][-1] <= 50_000


@given(st.integers(0, 700))
def test_a_stop_brakes_no_harder_than_twice_the_trajectory_and_ends_at_rest(cycles):
    way = trapezoid(0, 100_000, 200_000, 1_000_000)
    world = World(way)
    world.begin()
    for _ in range(cycles):
        world.cycle()
    world.motion.stop()
    world.run()
    world.cycle()
    velocities = [after - before for before, after in pairwise(world.sent[0])]
    bends = steps(velocities)
    assert max(bends, default=0) <= 2 * 1_000_000 * PERIOD_S**2 + 4
    assert velocities[-1] == 0


def test_a_velocity_that_is_left_over_is_ramped_down():
    world = World(ramp(0, 5000, acceleration=20_000, hold_s=0.1), mode=Mode.CSV)
    world.begin()
    world.run()
    assert max(world.sent[0]) == 5000
    assert world.sent[0][-1] == 0
    assert max(steps(world.sent[0])) <= 20_000 * PERIOD_S + 1


@pytest.mark.parametrize("rides", [False, True])
@pytest.mark.parametrize("word", [SWITCHED_ON, FAULT, 0x0250, 0x0217, 0x021F])
def test_an_axis_that_falls_gets_no_energising_word_from_that_moment_and_the_other_is_ramped_down(word, rides):
    way = trapezoid(0, 100_000, 200_000, 1_000_000)
    world = World(way, way, rides=rides)
    world.begin()
    for _ in range(200):
        world.cycle()
    world.words[0] = word
    world.controlwords.clear()
    before = world.at[1]
    world.motion.receive(tpdo(0, word, world.at[0]), world.now)
    at_once = world.motion.frames_to_send()
    assert at_once, "in the same cycle, not in the next one"
    for frame in at_once:
        world.heard(frame)
    assert [each & 0x0F for each in world.controlwords] == [0x02] * len(at_once)
    failure = world.motion.failure
    assert (failure.axis, failure.trouble) == (world.axes[0], Trouble.LEFT)
    world.words[0] = ENABLED  # somebody else enables it again
    world.controlwords.clear()
    world.run()
    own = world.controlwords[::2] if rides else world.controlwords
    assert own
    assert all(each & 0x0F == 0x02 for each in own)
    assert world.at[1] > before
    assert not world.axes[0].link.permitted


def test_an_axis_that_says_nothing_stops_all():
    way = trapezoid(0, 100_000, 200_000, 1_000_000)
    world = World(way)
    world.begin()
    for _ in range(4):
        world.cycle(answers=False)
    assert world.motion.failure.trouble is Trouble.SILENT
    assert world.motion.phase is Phase.STOPPING
    assert world.axes[0].tpdos_missed >= 3


def test_nothing_is_sent_to_an_axis_before_it_has_said_where_it_stands():
    world = World(trapezoid(0, 100, 100, 100))
    world.cycle(answers=False)
    assert world.sent == [[]]
    world.motion.receive(tpdo(0, SWITCHED_ON, 777), world.now)
    world.cycle(answers=False)
    assert world.sent == [[777]]


def test_until_it_is_enabled_the_set_point_is_where_the_axis_is():
    world = World(trapezoid(0, 100, 100, 100))
    for position in (100, 105, 111):
        world.motion.receive(tpdo(0, SWITCHED_ON, position), world.now)
        world.cycle(answers=False)
    assert world.sent[0] == [100, 105, 111]
    world.motion.receive(tpdo(0, ENABLED, 112), world.now)
    for position in (113, 120):
        world.motion.receive(tpdo(0, ENABLED, position), world.now)
        world.cycle(answers=False)
    assert world.sent[0][-2:] == [112, 112]


# --- the words of a link ---


def drive(plan, now, answer=b""):
    """Run a plan, with the time and one SDO answer."""
    asked, reply = [], None
    try:
        while True:
            request = plan.send(reply)
            asked.append(request)
            reply = now if isinstance(request, Now) else answer
    except StopIteration as end:
        return end.value, [each for each in asked if not isinstance(each, Now)]


def test_a_stale_statusword_is_never_believed():
    one = axis()
    words = PdoWords(one, 0.002)
    one.receive(tpdo(0, ENABLED, 0), 10.0)
    assert drive(words.read_status(one.link, None), 10.001) == (ENABLED, [])
    word, asked = drive(words.read_status(one.link, None), 10.003, b"\x08\x06")
    assert word == 0x0608
    assert [type(each) for each in asked] == [SdoRead]


def test_reading_the_status_again_and_again_does_not_make_it_young():
    one = axis()
    one.link.words = PdoWords(one, 0.002)
    one.receive(tpdo(0, ENABLED, 0), 10.0)
    for later in (0.001, 0.0019):
        assert drive(one.link.status(), 10.0 + later)[1] == []
    assert drive(one.link.status(), 10.0035, b"\x08\x06")[0] == 0x0608


def test_words_are_confirmed_by_sdo_unless_they_ride_along():
    one = axis()
    _, asked = drive(PdoWords(one, 0.002).write_control(one.link, 0x06, None), 0.0)
    assert [type(each) for each in asked] == [SdoWrite]
    riding = axis(rides=True)
    words = PdoWords(riding, 0.002)
    assert drive(words.write_control(riding.link, 0x06, None), 0.0)[1] == []
    words.running = False
    assert len(drive(words.write_control(riding.link, 0x06, None), 0.0)[1]) == 1


def test_a_tpdo_that_is_too_short_is_no_answer():
    one = axis()
    one.receive(Frame(0x181, b"\x37\x16"), 1.0)
    assert not one.fresh
    assert one.status is None
