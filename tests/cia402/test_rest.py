"""opendiag.cia402.rest: to standstill and off, against drives that do not answer, do not listen, or run out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_bench import NODE, Bench, is_word, lost, refused

from opendiag.cia402.link import DriveLink, Timing
from opendiag.cia402.rest import bring_to_rest, goes_one_way, is_still, make_safe, rest_after
from opendiag.errors import MotionFailed, NotAtRest, PlanCancelled, SdoError, SendFailed
from opendiag.services.plans import SdoRead, SdoWrite, Send, Sleep

STOP, PRE_OPERATIONAL = 0x02, 0x80


@pytest.mark.parametrize("state", ["NRSO", "SOD", "RTSO", "SO", "OE", "QSA", "F"])
@pytest.mark.parametrize("stays", [False, True])
def test_from_every_state_the_first_frame_is_the_quick_stop_and_the_end_is_off(state, stays):
    bench, link = Bench(state), DriveLink(NODE)
    bench.stays = stays
    assert bench.run(make_safe(link)) is True
    transfers = [each for each in bench.requests if isinstance(each, SdoRead | SdoWrite | Send)]
    assert is_word(transfers[0], 0x02)
    assert bench.words == [0x02, 0x00]
    assert bench.state in ("SOD", "F", "NRSO")
    assert link.at_rest is True
    assert bench.nmt == []


def turning(bench, speed, until=1e9):
    """Let position and velocity be those of a shaft that turns until then."""
    began = bench.now

    def move(bench, request):
        moves = bench.now < until
        bench.objects[0x6064, 0] = round(speed * (min(bench.now, until) - began))
        bench.objects[0x606C, 0] = speed if moves else 0

    bench.before = move


def test_the_ramp_is_waited_for_where_the_drive_stays_in_quick_stop_active():
    bench, link = Bench("OE"), DriveLink(NODE)
    bench.stays = True
    turning(bench, 5000, until=bench.now + 1.5)
    assert bench.run(make_safe(link)) is True
    assert bench.words == [0x02, 0x00]
    assert 101.5 < bench.now < 101.8


def test_a_ramp_that_does_not_end_is_cut_off():
    bench, link = Bench("OE"), DriveLink(NODE, timing=Timing(stop_s=1.0, rest_s=3.0))
    bench.stays = True
    turning(bench, 5000)
    assert bench.run(make_safe(link)) is False, "it is off, and still turns"
    assert bench.words == [0x02, 0x00]
    assert bench.state == "SOD"
    assert 101 < bench.now < 104


def test_a_drive_that_coasts_is_at_rest_when_it_stands():
    """605Ah is 0: QUICK STOP ACTIVE ends at once, the motor runs out."""
    bench, link = Bench("OE"), DriveLink(NODE)
    turning(bench, 5000, until=bench.now + 2.0)
    assert bench.run(make_safe(link)) is True
    assert 102.0 < bench.now < 102.2


def test_a_drive_without_feedback_is_given_the_time_of_a_ramp():
    bench, link = Bench("OE"), DriveLink(NODE, timing=Timing(stop_s=1.0))
    bench.stays = True
    del bench.objects[0x6064, 0], bench.objects[0x606C, 0]
    assert bench.run(make_safe(link)) is True
    assert 101.0 < bench.now < 101.1


def test_a_silent_drive_hears_nmt_stop_and_goes_where_it_can_be_asked():
    bench, link = Bench("OE"), DriveLink(NODE)

    def silence(bench, request):
        if isinstance(request, SdoRead | SdoWrite):
            bench.now += request.timeout_s
            raise lost(request)

    bench.before = silence
    assert bench.run(make_safe(link)) is False
    assert bench.nmt == [STOP, PRE_OPERATIONAL, STOP]
    assert all(frame.data[1] == NODE for frame in bench.frames)
    assert bench.now < 110.5
    assert link.at_rest is False


def test_nmt_stop_comes_within_a_second_of_silence():
    bench, link = Bench("OE"), DriveLink(NODE)
    told = []

    def silence(bench, request):
        if isinstance(request, SdoRead | SdoWrite):
            bench.now += request.timeout_s
            raise lost(request)
        if isinstance(request, Send):
            told.append(bench.now)

    bench.before = silence
    bench.run(make_safe(link))
    assert told[0] < 101.0


def test_a_drive_that_answers_again_is_brought_to_rest():
    bench, link = Bench("OE"), DriveLink(NODE)

    def silence(bench, request):
        if isinstance(request, SdoRead | SdoWrite) and bench.now < 103:
            bench.now += request.timeout_s
            raise lost(request)

    bench.before = silence
    assert bench.run(make_safe(link)) is True
    assert bench.words == [0x02, 0x00]


def test_somebody_who_enables_it_again_by_pdo_is_shut_out():
    bench, link = Bench("OE"), DriveLink(NODE)

    def overwrite(bench, request):
        if is_word(request) and PRE_OPERATIONAL not in bench.nmt:
            bench.state = "OE"

    bench.after = overwrite
    assert bench.run(make_safe(link)) is True
    assert bench.nmt == [PRE_OPERATIONAL]
    assert bench.state == "SOD"
    assert bench.now < 100.2


def test_somebody_who_cannot_be_shut_out_is_told():
    bench, link = Bench("OE"), DriveLink(NODE, timing=Timing(rest_s=1.0))
    bench.after = lambda bench, request: setattr(bench, "state", "OE")
    assert bench.run(make_safe(link)) is False
    assert bench.nmt == [PRE_OPERATIONAL, STOP]
    assert bench.now < 101.2


def test_a_drive_that_refuses_the_words_and_says_that_it_is_off_is_off():
    bench, link = Bench("SOD"), DriveLink(NODE)

    def refuse(bench, request):
        if is_word(request):
            raise refused(request)

    bench.before = refuse
    assert bench.run(make_safe(link)) is True


def test_a_drive_that_refuses_the_words_and_says_that_it_is_on_is_not_at_rest():
    bench, link = Bench("OE"), DriveLink(NODE, timing=Timing(rest_s=1.0))

    def refuse(bench, request):
        if is_word(request):
            raise refused(request)

    bench.before = refuse
    assert bench.run(make_safe(link)) is False


def test_a_write_whose_answer_is_lost_does_not_count_as_done():
    """And a statusword that is read without a confirmed stop is not believed."""
    bench, link = Bench("SOD"), DriveLink(NODE, timing=Timing(rest_s=0.5))

    def lose(bench, request):
        if is_word(request):
            raise lost(request)

    bench.after = lose
    assert bench.run(make_safe(link)) is False


def test_a_frame_that_does_not_leave_is_no_reason_to_give_up():
    bench, link = Bench("OE"), DriveLink(NODE)

    def full(bench, request):
        if isinstance(request, SdoWrite) and bench.now < 100.05:
            raise SendFailed("can0", "the queue is full")

    bench.before = full
    assert bench.run(make_safe(link)) is True
    assert bench.state == "SOD"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), PlanCancelled("closed"), SystemExit(1), ValueError("?")])
def test_what_is_thrown_in_meanwhile_is_raised_when_it_is_done(error):
    rehearsal = Bench("OE")
    rehearsal.run(make_safe(DriveLink(NODE)))
    for step in range(1, len(rehearsal.requests) + 1):
        bench, link = Bench("OE"), DriveLink(NODE)

        def strike(bench, request, step=step):
            if len(bench.requests) == step:
                raise error

        bench.before = strike
        with pytest.raises(type(error)):
            bench.run(make_safe(link))
        assert link.at_rest is True
        assert bench.state == "SOD"


def test_it_ends_in_time_whatever_is_thrown_and_however_often():
    bench, link = Bench("OE"), DriveLink(NODE)

    def strike(bench, request):
        if not isinstance(request, Sleep) and len(bench.requests) % 3:
            raise KeyboardInterrupt

    bench.before = strike
    at_rest, interruption = bench.run(bring_to_rest(link))
    assert at_rest is False or bench.state == "SOD"
    assert isinstance(interruption, KeyboardInterrupt)
    assert bench.now < 120


def test_an_error_of_a_drive_takes_the_note():
    bench, link, error = Bench("OE"), DriveLink(NODE), MotionFailed(NODE, "a move", "no")
    bench.run(rest_after(link, error))
    assert error.at_rest is True
    with pytest.raises(NotAtRest) as caught:
        silent = Bench("OE")
        silent.before = lambda bench, request: (_ for _ in ()).throw(lost(request)) if is_word(request) else None
        silent.run(rest_after(DriveLink(NODE, timing=Timing(rest_s=0.5)), ValueError("the caller's")))
    assert isinstance(caught.value.__cause__, ValueError)


def test_halt_is_not_left_behind_and_the_manufacturer_s_bits_are():
    bench, link = Bench("OE"), DriveLink(NODE)
    link.controlword = 0x890F | 0x0100
    bench.run(make_safe(link))
    assert bench.words == [0x8802, 0x8800]


# --- standstill ---


def seen(positions, speeds, **link_fields):
    """What `is_still` makes of these looks."""
    bench, link = Bench("QSA"), DriveLink(NODE)
    for name, value in link_fields.items():
        setattr(link, name, value)
    looks = {0x6064: list(positions), 0x606C: list(speeds)}

    def show(bench, request):
        if isinstance(request, SdoRead):
            values = looks.get(request.index, [])
            if values:
                bench.objects[request.index, 0] = values.pop(0)
            else:
                bench.objects.pop((request.index, 0), None)

    bench.before = show
    return bench.run(is_still(link))


@pytest.mark.parametrize(
    ("positions", "speeds", "still"),
    [
        ([5, 5, 5, 5], [0, 0, 0, 0], True),
        ([5, 6, 5, 4], [30, -25, 12, 0], True),  # the flicker of 4096 counts
        ([9000, 9210, 8890, 9105], [4000, -3900, 2000, -50], True),  # that of a million counts
        ([0, 20, 40, 60], [2000, 2000, 2000, 2000], False),
        ([60, 40, 20, 0], [-2000, -2000, -2000, -2000], False),
        ([0, 20, 40, 60], [0, 0, 0, 0], False),  # the velocity object is not filled
        ([7, 7, 7, 7], [3000, 3000, 3000, 3000], False),  # one turn between two looks, or a frozen position
        ([0, 3, 3, 6], [0, 0, 0, 0], False),  # slow
        ([], [0, 0, 0, 0], True),
        ([], [500, 510, 490, 500], False),
        ([], [500, -510, 490, 500], True),
        ([5, 5, 5, 5], [], True),
        ([0, 50, 100, 150], [], False),
        ([], [], None),
    ],
)
def test_standstill_in_any_unit(positions, speeds, still):
    assert seen(positions, speeds) is still


def test_units_that_are_known_decide():
    assert seen([0, 30, 10, 45], [0] * 4, still_window=20) is False
    assert seen([0, 15, 10, 18], [0] * 4, still_window=20) is True
    assert seen([0] * 4, [900] * 4, still_speed=1000) is True
    assert seen([0] * 4, [1100] * 4, still_speed=1000) is False


@given(st.integers(-(2**31), 2**31 - 200_000), st.integers(3, 60_000))
def test_a_shaft_that_turns_is_never_taken_for_one_that_stands(start, step):
    for way in (step, -step):
        assert goes_one_way([start + number * way for number in range(4)], None)


@given(st.integers(-1000, 1000), st.lists(st.integers(-1, 1), min_size=4, max_size=4))
def test_a_count_more_or_less_is_no_motion(start, flicker):
    assert not goes_one_way([start + each for each in flicker], None)


def test_a_silent_drive_tells_nothing_of_standstill():
    bench, link = Bench("QSA"), DriveLink(NODE)

    def silence(bench, request):
        if isinstance(request, SdoRead):
            raise lost(request)

    bench.before = silence
    with pytest.raises(SdoError):
        bench.run(is_still(link))


def test_it_goes_by_sdo_whatever_way_the_words_take_otherwise():
    """A PDO that is not sent any more, or a statusword of some time ago, must not make it blind."""

    class Stale:
        def read_status(self, link, timeout_s):
            return 0x0040
            yield

        def write_control(self, link, word, timeout_s):
            return
            yield

    bench, link = Bench("OE"), DriveLink(NODE, words=Stale())
    assert bench.run(make_safe(link)) is True
    assert bench.words == [0x02, 0x00]


def test_a_drive_that_takes_a_word_some_milliseconds_later_is_not_taken_for_one_that_does_not_listen():
    bench, link = Bench("OE"), DriveLink(NODE)
    take, due = bench.take, []

    def later(bench, request):
        while due and bench.now >= due[0][0]:
            take(due.pop(0)[1])

    bench.take = lambda word: due.append((bench.now + 0.012, word))
    bench.before = later
    assert bench.run(make_safe(link)) is True
    assert bench.nmt == []
    assert bench.state == "SOD"
