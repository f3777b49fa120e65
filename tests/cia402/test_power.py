"""opendiag.cia402.power: the words of each call in their order, and what becomes of it when anything goes wrong."""

import pytest
from plan_bench import NODE, WORDS, Bench, is_word, lost, refused

from opendiag.cia402 import power
from opendiag.cia402.link import HALT, DriveLink, Timing
from opendiag.cia402.path import Target
from opendiag.cia402.quirks import DriveQuirks
from opendiag.cia402.states import PdsState
from opendiag.errors import (
    AdapterClosed,
    DriveFault,
    NotAtRest,
    NotEnabled,
    NotPermitted,
    PlanCancelled,
    SdoAborted,
    SdoError,
    SdoTimeout,
    StateNotReached,
    UnknownTarget,
)
from opendiag.services.plans import Now, SdoRead, SdoWrite, Sleep

S = PdsState
REST = [0x02, 0x00]
ON = {"SOD": [0x06, 0x07, 0x0F], "RTSO": [0x07, 0x0F], "SO": [0x0F]}


def enabled(**objects):
    """A drive that this side has enabled."""
    bench, link = Bench("SOD", **objects), DriveLink(NODE)
    bench.run(power.enable(link))
    bench.words.clear()
    bench.requests.clear()
    return bench, link


# --- golden words ---


@pytest.mark.parametrize(
    ("state", "words"),
    [
        *ON.items(),
        ("QSA", [0x00, 0x06, 0x07, 0x0F]),
        ("OE", [0x07, 0x0F]),  # somebody else's: disabled first, with its ramp
    ],
)
def test_enable(state, words):
    bench, link = Bench(state), DriveLink(NODE)
    bench.run(power.enable(link))
    assert bench.words == words
    assert bench.state == "OE"
    assert link.permitted


def test_enable_again_sends_nothing():
    bench, link = enabled()
    bench.run(power.enable(link))
    assert bench.words == []


@pytest.mark.parametrize(
    ("state", "words", "end"),
    [
        ("NRSO", [0x00], "NRSO"),
        ("SOD", [0x00], "SOD"),
        ("RTSO", [0x00], "SOD"),
        ("SO", [0x00], "SOD"),
        ("OE", [0x07, 0x00], "SOD"),
        ("QSA", [0x00], "SOD"),
        ("F", [0x00], "F"),
    ],
)
def test_disable(state, words, end):
    bench, link = Bench(state), DriveLink(NODE)
    bench.run(power.disable(link))
    assert (bench.words, bench.state) == (words, end)
    assert not link.permitted


@pytest.mark.parametrize(
    ("state", "stays", "end", "gives"),
    [
        ("OE", False, "SOD", S.SWITCH_ON_DISABLED),  # QUICK STOP ACTIVE was too short to be seen
        ("OE", True, "QSA", S.QUICK_STOP_ACTIVE),
        ("SO", False, "SOD", S.SWITCH_ON_DISABLED),
        ("RTSO", False, "SOD", S.SWITCH_ON_DISABLED),
        ("SOD", False, "SOD", S.SWITCH_ON_DISABLED),
        ("QSA", True, "QSA", S.QUICK_STOP_ACTIVE),
        ("F", False, "F", S.FAULT),
    ],
)
def test_quick_stop(state, stays, end, gives):
    bench, link = Bench(state), DriveLink(NODE)
    bench.stays = stays
    assert bench.run(power.quick_stop(link)) is gives
    assert (bench.words, bench.state) == ([0x02], end)
    assert is_word(bench.requests[0], 0x02), "nothing comes before the quick stop"


@pytest.mark.parametrize(
    ("state", "target", "words"),
    [
        ("SOD", Target.SWITCHED_ON, [0x06, 0x07]),
        ("OE", Target.SWITCHED_ON, [0x07]),
        ("OE", Target.READY_TO_SWITCH_ON, [0x07, 0x06]),
        ("OE", "switch on disabled", [0x07, 0x00]),
        ("QSA", Target.READY_TO_SWITCH_ON, [0x00, 0x06]),
        ("SO", Target.READY_TO_SWITCH_ON, [0x06]),
        ("RTSO", Target.READY_TO_SWITCH_ON, []),
    ],
)
def test_reach(state, target, words):
    bench, link = Bench(state), DriveLink(NODE)
    bench.run(power.reach(link, target))
    assert bench.words == words


def test_reset_fault_clears_the_bit_before_and_after():
    bench, link = Bench("F"), DriveLink(NODE)
    bench.run(power.reset_fault(link))
    assert (bench.words, bench.state) == ([0x00, 0x80, 0x00], "SOD")


def test_reset_fault_makes_an_edge_where_the_bit_was_set_already():
    bench, link = Bench("F", x6040=0x80), DriveLink(NODE)
    bench.word = 0x80
    bench.run(power.reset_fault(link))
    assert (bench.words, bench.state) == ([0x00, 0x80, 0x00], "SOD")
    low, high = [number for number, each in enumerate(bench.requests) if is_word(each)][:2]
    assert any(isinstance(each, Sleep) for each in bench.requests[low:high]), "a drive has to see the 0"


@pytest.mark.parametrize("state", ["NRSO", "SOD", "RTSO", "SO", "OE", "QSA"])
def test_reset_fault_leaves_a_drive_without_one_as_it_is(state):
    bench, link = Bench(state), DriveLink(NODE)
    bench.run(power.reset_fault(link))
    assert (bench.words, bench.state) == ([], state)


def test_halt_and_its_end():
    bench, link = enabled()
    bench.run(power.halt(link))
    bench.run(power.halt(link, on=False))
    assert bench.words == [0x010F, 0x000F]


# --- bits that are not the command's ---


def test_halt_and_the_manufacturer_s_bits_that_somebody_has_set_stay_while_it_is_enabled():
    bench, link = Bench("SOD", x6040=0x8130), DriveLink(NODE)
    bench.run(power.enable(link))
    assert bench.words == [0x8106, 0x8107, 0x810F]


def test_bits_4_5_6_and_9_which_may_begin_a_motion_do_not_stay():
    bench, link = Bench("SOD", x6040=0x0270), DriveLink(NODE)
    bench.run(power.enable(link))
    assert bench.words == [0x06, 0x07, 0x0F]


def test_a_controlword_that_cannot_be_read_is_no_hindrance():
    bench, link = Bench("SOD"), DriveLink(NODE)
    bench.run(power.enable(link))
    assert bench.state == "OE"


def test_halt_does_not_outlive_a_fault_or_being_brought_to_rest():
    bench, link = enabled()
    bench.run(power.halt(link))
    bench.run(power.make_safe(link))
    bench.run(power.enable(link))
    assert bench.words[-3:] == [0x06, 0x07, 0x0F]


# --- enabling moves nothing ---


@pytest.mark.parametrize(
    ("mode", "objects", "writes"),
    [
        (3, {"x60FF": 500}, [(0x60FF, 0, 0)]),
        (3, {"x60FF": 0}, []),
        (4, {"x6071": -3}, [(0x6071, 0, 0)]),
        (2, {"x6042": 700}, [(0x6042, 0, 0)]),
        (8, {"x607A": 4000}, [(0x607A, 0, 1000)]),
        (8, {"x607A": 1000, "x60B0": 50}, [(0x60B0, 0, 0)]),
        (9, {"x60FF": 1, "x60B1": 2}, [(0x60B1, 0, 0), (0x60FF, 0, 0)]),
        (10, {"x6071": 1, "x60B2": 2}, [(0x60B2, 0, 0), (0x6071, 0, 0)]),
        (1, {"x607A": 4000}, []),
        (6, {"x607A": 4000}, []),
        (-1, {"x60FF": 4000}, []),
    ],
)
def test_what_the_mode_follows_says_stay_before_the_drive_is_enabled(mode, objects, writes):
    bench, link = Bench("SOD", x6061=mode, x6060=mode, **objects), DriveLink(NODE)
    bench.before = lambda bench, request: None if not is_word(request, 0x0F) else check(bench)

    def check(bench):
        assert bench.writes == writes

    bench.run(power.enable(link))
    assert bench.writes == writes


def test_a_mode_that_is_still_being_changed_is_made_harmless_too():
    bench, link = Bench("SOD", x6061=1, x6060=3, x60FF=900), DriveLink(NODE)
    bench.run(power.enable(link))
    assert bench.writes == [(0x60FF, 0, 0)]


def test_a_set_point_that_cannot_be_made_harmless_keeps_the_drive_off():
    bench, link = Bench("SOD", x6061=3, x60FF=900), DriveLink(NODE)

    def refuse(bench, request):
        if isinstance(request, SdoWrite) and request.index == 0x60FF:
            raise refused(request)

    bench.before = refuse
    with pytest.raises(SdoAborted):
        bench.run(power.enable(link))
    assert bench.words == [0x06, 0x07, *REST]
    assert bench.state == "SOD"


def test_a_drive_that_jumps_is_given_its_time_after_the_boot_up():
    bench = Bench("SOD")
    link = DriveLink(NODE, quirks=DriveQuirks(settle_s=1.0), booted_at=lambda: 99.6)
    bench.run(power.enable(link))
    first = next(number for number, each in enumerate(bench.requests) if is_word(each))
    slept = sum(each.seconds for each in bench.requests[:first] if isinstance(each, Sleep))
    assert slept == pytest.approx(0.6, abs=0.01)


# --- a stop wins, whenever it comes ---


@pytest.mark.parametrize("stop", [power.disable, power.quick_stop, power.make_safe], ids=lambda stop: stop.__name__)
def test_a_stop_from_elsewhere_ends_an_enabling_call_at_every_step(stop):
    rehearsal = Bench("SOD", x6061=3, x60FF=5, x6040=0)
    rehearsal.run(power.enable(DriveLink(NODE)))
    for step in range(1, len(rehearsal.requests)):
        bench, link = Bench("SOD", x6061=3, x60FF=5, x6040=0), DriveLink(NODE)
        before = []

        def interfere(bench, request, step=step, link=link, before=before):
            if len(bench.requests) == step and not before:
                before.append(len(bench.words))
                bench.run(stop(link))

        bench.after = interfere
        with pytest.raises(NotPermitted, match="another call has stopped the drive"):
            bench.run(power.enable(link))
        assert bench.state != "OE", f"step {step}"
        assert 0x0F not in bench.words[before[0] :], f"step {step}"


def test_one_master_may_not_enable_what_another_has_stopped_in_a_hurry():
    """QUICK STOP ACTIVE with 605Ah 5..8: "enable operation" is transition 16 there."""
    bench, link = Bench("SOD"), DriveLink(NODE)
    bench.stays = True
    done = []

    def hurry(bench, request):
        reading = isinstance(request, SdoRead) and request.index == 0x6060
        if reading and not done:
            done.append(True)
            bench.state = "QSA"

    bench.before = hurry
    bench.run(power.enable(link))
    assert bench.words == [0x06, 0x07, 0x00, 0x06, 0x07, 0x0F]


def test_a_reboot_ends_the_leave_to_energise():
    booted = [1.0]
    bench, link = Bench("SOD"), DriveLink(NODE, booted_at=lambda: booted[0])
    bench.run(power.enable(link))
    assert link.permitted
    booted[0], bench.state = 2.0, "SO"
    assert not link.permitted
    with pytest.raises(NotPermitted):
        bench.run(link.control(0x0F))
    with pytest.raises(NotEnabled):
        bench.run(power.halt(link))
    assert 0x0F not in bench.words[3:]


def test_a_reboot_while_it_is_being_enabled_is_an_error():
    booted = [1.0]
    bench, link = Bench("SOD"), DriveLink(NODE, booted_at=lambda: booted[0])

    def boot(bench, request):
        if is_word(request, 0x0F):
            booted[0], bench.state = 2.0, "SOD"

    bench.after = boot
    with pytest.raises(StateNotReached) as caught:
        bench.run(power.enable(link))
    assert caught.value.at_rest
    assert bench.state == "SOD"


# --- what goes wrong ---


def test_a_drive_in_a_fault_is_not_enabled_and_nothing_is_sent():
    bench, link = Bench("F", x603F=0x3120), DriveLink(NODE)
    with pytest.raises(DriveFault) as caught:
        bench.run(power.enable(link))
    assert (caught.value.code, caught.value.at_rest) == (0x3120, None)
    assert bench.words == []


def test_a_node_that_is_silent_is_told_at_once():
    bench, link = Bench("SOD"), DriveLink(NODE)

    def silence(bench, request):
        if isinstance(request, SdoRead | SdoWrite):
            raise lost(request)

    bench.before = silence
    with pytest.raises(SdoTimeout):
        bench.run(power.enable(link))
    assert bench.words == []
    assert bench.now == pytest.approx(100.0, abs=0.1)


def test_a_drive_that_does_not_go_on_is_brought_to_rest():
    bench, link = Bench("SOD"), DriveLink(NODE)
    bench.after = lambda bench, request: setattr(bench, "state", "RTSO") if is_word(request, 0x07) else None
    with pytest.raises(StateNotReached) as caught:
        bench.run(power.enable(link))
    assert (caught.value.wanted, caught.value.state) == ("SWITCHED ON", "READY TO SWITCH ON")
    assert caught.value.at_rest
    assert bench.words[-2:] == REST


def test_a_fault_that_comes_back_at_once():
    bench, link = Bench("F", x603F=0x4310), DriveLink(NODE)
    bench.after = lambda bench, request: setattr(bench, "state", "F") if is_word(request, 0x00) else None
    with pytest.raises(DriveFault, match="came back at once") as caught:
        bench.run(power.reset_fault(link))
    assert caught.value.code == 0x4310
    assert bench.words == [0x00, 0x80, 0x00]


def test_a_fault_whose_cause_is_still_there():
    bench, link = Bench("F", x603F=0x3120), DriveLink(NODE)
    bench.cause = True
    with pytest.raises(DriveFault, match="the cause is still there"):
        bench.run(power.reset_fault(link))
    assert bench.words == [0x00, 0x80, 0x00], "the bit is cleared all the same"
    assert bench.state == "F"


def test_a_fault_reset_whose_answer_is_lost_clears_the_bit():
    bench, link = Bench("F"), DriveLink(NODE)

    def lose(bench, request):
        if is_word(request, 0x80):
            raise lost(request)

    bench.after = lose
    with pytest.raises(SdoTimeout):
        bench.run(power.reset_fault(link))
    assert bench.word & 0x80 == 0


def test_a_quick_stop_that_is_refused_becomes_everything_else():
    bench, link = Bench("OE"), DriveLink(NODE)

    def refuse(bench, request):
        if is_word(request) and len(bench.requests) == 1:
            raise refused(request)

    bench.before = refuse
    with pytest.raises(SdoAborted):
        bench.run(power.quick_stop(link))
    assert bench.words == REST
    assert link.at_rest


def test_a_halt_that_is_lost_becomes_a_quick_stop():
    bench, link = enabled()

    def lose(bench, request):
        if is_word(request, 0x0F | HALT):
            raise lost(request)

    bench.before = lose
    with pytest.raises(SdoTimeout):
        bench.run(power.halt(link))
    assert bench.words == REST
    assert bench.state == "SOD"


def test_halt_of_a_drive_that_somebody_else_has_enabled_sends_nothing():
    bench, link = Bench("OE"), DriveLink(NODE)
    with pytest.raises(NotEnabled, match="which this script did not ask for"):
        bench.run(power.halt(link))
    assert bench.words == []


def test_changing_a_bit_of_a_drive_that_has_gone_off_by_itself_sends_nothing():
    bench, link = enabled()
    for state in ("SO", "RTSO", "QSA", "SOD"):
        bench.state = state
        with pytest.raises(NotEnabled):
            bench.run(link.change(set_bits=0x10, during="it moved"))
    assert bench.words == []
    assert not link.permitted


@pytest.mark.parametrize("state", ["OE", "SO", "F"])
@pytest.mark.parametrize("target", ["", "enabled", "fault", Target.OPERATION_ENABLED])
def test_reach_without_a_target_sends_nothing(state, target):
    bench, link = Bench(state), DriveLink(NODE)
    with pytest.raises(UnknownTarget):
        bench.run(power.reach(link, target))
    assert bench.requests == []


def test_a_drive_that_goes_in_circles_is_not_followed_for_ever():
    bench, link = Bench("SOD"), DriveLink(NODE, timing=Timing(state_s=0.1, stop_s=0.2))
    bench.after = lambda bench, request: setattr(bench, "state", "SOD") if is_word(request, 0x07) else None
    with pytest.raises(StateNotReached):
        bench.run(power.reach(link, Target.SWITCHED_ON))
    assert bench.now < 102


def test_a_disable_that_does_not_work_is_made_up_for():
    bench, link = enabled()
    bench.after = lambda bench, request: setattr(bench, "state", "OE") if is_word(request, 0x07) else None
    bench.run(power.disable(link))
    assert bench.words == [0x07, *REST]
    assert bench.state == "SOD"


def test_a_drive_that_stays_enabled_is_told():
    bench, link = Bench("OE"), DriveLink(NODE, timing=Timing(rest_s=1.0, stop_s=0.5))
    bench.after = lambda bench, request: setattr(bench, "state", "OE")
    with pytest.raises(NotAtRest, match="use the emergency stop"):
        bench.run(power.disable(link))


# --- anything, at every step ---

CALLS = {
    "enable": (power.enable, "SOD"),
    "enable somebody else's": (power.enable, "OE"),
    "enable after a quick stop": (power.enable, "QSA"),
    "disable": (power.disable, "OE"),
    "quick_stop": (power.quick_stop, "OE"),
    "make_safe": (power.make_safe, "OE"),
    "reach": (lambda link: power.reach(link, Target.READY_TO_SWITCH_ON), "OE"),
    "reset_fault": (power.reset_fault, "F"),
}
#: What happens to a request, and whether it was served before.
TROUBLE = {
    "request lost": (lost, False),
    "answer lost": (lost, True),
    "refused": (refused, False),
    "cancelled": (lambda request: PlanCancelled("the network is closed"), False),
    "cancelled after it": (lambda request: PlanCancelled("the network is closed"), True),
    "Ctrl-C": (lambda request: KeyboardInterrupt(), False),
    "Ctrl-C after it": (lambda request: KeyboardInterrupt(), True),
    "exit": (lambda request: SystemExit(3), True),
}
FOR_TRANSFERS = ("request lost", "answer lost", "refused")


def bench_for(state):
    return Bench(state, x6061=3, x60FF=5, x6502=0x2F)


def steps(call):
    plan, state = CALLS[call]
    bench = bench_for(state)
    bench.run(plan(DriveLink(NODE)))
    return len(bench.requests)


@pytest.mark.parametrize("again", [0, 1, 7], ids=["once", "twice", "twice, later"])
@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("call", CALLS)
def test_trouble_at_every_step_of_every_call_leaves_the_drive_off(call, trouble, again):
    plan, state = CALLS[call]
    make, served = TROUBLE[trouble]
    for step in range(1, steps(call) + 1):
        bench, link = bench_for(state), DriveLink(NODE)

        def strike(bench, request, step=step):
            hit = len(bench.requests) in ((step, step + again) if again else (step,))
            if hit and (trouble not in FOR_TRANSFERS or isinstance(request, SdoRead | SdoWrite)):
                raise make(request)

        setattr(bench, "after" if served else "before", strike)
        raised = None
        try:
            bench.run(plan(link))
        except (SdoError, PlanCancelled, KeyboardInterrupt, SystemExit, NotAtRest) as error:
            raised = error
        where = f"{call}, {trouble} at step {step}: {raised!r}, words {bench.words}"
        touched = bool(bench.words)
        if raised is None and call.startswith("enable"):
            assert bench.state == "OE", where
        elif touched and call != "reset_fault":
            ends = {"reach": ("SOD", "RTSO", "SO"), "quick_stop": ("SOD", "QSA")}.get(call, ("SOD",))
            assert bench.state in ends, where
            assert call.startswith("enable") or 0x0F not in bench.words, where
        elif not touched:
            assert bench.state == state, where
        if raised is not None:
            assert not link.permitted, where
        if link.at_rest:
            assert bench.state not in ("OE", "QSA"), where
        assert 0x0F not in bench.words[bench.words.index(0x02) :] if 0x02 in bench.words else True, where


@pytest.mark.parametrize("call", CALLS)
def test_an_abandoned_call_ends_at_once_and_energises_nothing_any_more(call):
    plan, state = CALLS[call]
    for step in range(1, steps(call) + 1):
        bench, link = bench_for(state), DriveLink(NODE)
        running = plan(link)
        for _ in range(step):
            bench.step(running)
        running.close()  # raises RuntimeError where a plan yields after that
        assert not link.permitted


@pytest.mark.parametrize("call", CALLS)
def test_the_end_of_the_adapter_is_told_and_nothing_is_waited_for(call):
    plan, state = CALLS[call]
    for step in range(1, steps(call) + 1):
        bench, link = bench_for(state), DriveLink(NODE)

        def gone(bench, request, step=step):
            if len(bench.requests) >= step and not isinstance(request, Now):
                raise AdapterClosed("sim", "unplugged")

        bench.before = gone
        try:
            told = bench.run(plan(link))
        except (AdapterClosed, NotAtRest):
            told = False
        assert not told
        assert bench.now < 101
        assert not link.permitted


def test_ctrl_c_is_never_replaced_by_another_error():
    bench, link = Bench("SO"), DriveLink(NODE, timing=Timing(rest_s=1.0))

    def strike(bench, request):
        if is_word(request, 0x0F):
            raise KeyboardInterrupt
        if is_word(request):
            raise lost(request)

    bench.after = strike
    with pytest.raises(KeyboardInterrupt):
        bench.run(power.enable(link))
    assert link.at_rest is False


def test_an_error_that_cannot_tell_becomes_one_that_can():
    bench, link = Bench("SO"), DriveLink(NODE, timing=Timing(rest_s=1.0))

    def silence(bench, request):
        if is_word(request):
            raise lost(request)

    bench.after = silence
    with pytest.raises(NotAtRest) as caught:
        bench.run(power.enable(link))
    assert isinstance(caught.value.__cause__, SdoTimeout)
    assert caught.value.at_rest is False


def test_the_statuswords_of_the_bench_are_the_standard_s():
    from opendiag.cia402.states import pds_state

    assert [pds_state(word) for word in WORDS.values()] == list(S)
