"""opendiag.cia402.mode_change: a mode that comes, one that comes late, and the many ways in which it does not."""

import pytest
from plan_bench import NODE, Bench, is_word, refused

from opendiag.cia402 import power
from opendiag.cia402.link import HALT, DriveLink
from opendiag.cia402.mode_change import parse_mode, set_mode
from opendiag.cia402.quirks import DriveQuirks
from opendiag.errors import ModeRefused, SdoTimeout, UnknownTarget
from opendiag.services.plans import SdoRead, SdoWrite

PP, PV, CSP = 1, 3, 8
ALL = 0x3EF  # pp vl pv tq hm ip csp csv cst


@pytest.mark.parametrize(
    ("text", "mode"),
    [("pp", 1), (" CSP ", 8), ("Hm", 6), ("none", 0), (-3, -3), (7, 7), ("9", 9), ("-1", -1), (127, 127)],
)
def test_a_mode_as_people_write_it(text, mode):
    assert parse_mode(NODE, text) == mode


@pytest.mark.parametrize("text", ["", "ppp", "homing!", 128, -129, 4711, "4711", None, 1.5, True, b"pp"])
def test_what_is_no_mode_sends_nothing(text):
    bench, link = Bench("SO"), DriveLink(NODE)
    with pytest.raises(UnknownTarget, match="nothing was sent"):
        bench.run(set_mode(link, text))
    assert bench.requests == []


def writes_of(bench, index=0x6060):
    return [value for at, _, value in bench.writes if at == index]


def test_a_mode_is_asked_for_and_awaited():
    bench, link = Bench("SO", x6502=ALL), DriveLink(NODE)
    assert bench.run(set_mode(link, "pv")) == PV
    assert writes_of(bench) == [PV]


def test_a_mode_that_is_at_work_already_is_not_written():
    bench, link = Bench("OE", x6061=PV, x6060=PV), DriveLink(NODE)
    assert bench.run(set_mode(link, PV)) == PV
    assert bench.writes == []


def test_a_mode_that_is_at_work_while_another_is_asked_for_is_written():
    bench, link = Bench("SO", x6061=PV, x6060=PP), DriveLink(NODE)
    assert bench.run(set_mode(link, PV)) == PV
    assert writes_of(bench) == [PV]


@pytest.mark.parametrize("objects", [{}, {"x6502": 0}], ids=["missing", "0"])
def test_6502_that_lists_nothing_is_no_refusal(objects):
    bench, link = Bench("SO", **objects), DriveLink(NODE)
    assert bench.run(set_mode(link, CSP)) == CSP


def test_6502_that_lists_others_is_a_refusal_before_anything_is_written():
    bench, link = Bench("SO", x6502=0x25), DriveLink(NODE)
    with pytest.raises(ModeRefused, match="the drive has pp, pv, hm") as caught:
        bench.run(set_mode(link, CSP))
    assert caught.value.at_rest is None
    assert bench.writes == []


def test_manufacturer_modes_are_not_in_6502():
    bench, link = Bench("SO", x6502=0x25), DriveLink(NODE)
    assert bench.run(set_mode(link, -3)) == -3


@pytest.mark.parametrize("wait_s", [0.1, 2.0, 6.0])
@pytest.mark.parametrize("meanwhile", [-1, PP, 0, 77])
def test_what_shows_while_the_drive_changes_is_no_refusal(wait_s, meanwhile):
    bench, link = Bench("SO", x6502=ALL, x6061=PP, x6060=PP), DriveLink(NODE)
    done = []

    def late(bench, request):
        if isinstance(request, SdoWrite) and request.index == 0x6060:
            done.append(bench.now + wait_s)
        if done:
            bench.objects[0x6061, 0] = CSP if bench.now >= done[0] else meanwhile

    bench.after = late
    assert bench.run(set_mode(link, "csp")) == CSP
    assert len(bench.requests) < 700, "the bus has other things to do"


def test_a_mode_that_is_never_taken_is_an_error_and_the_old_one_is_asked_for_again():
    bench, link = Bench("SO", x6502=ALL, x6061=PP, x6060=PP), DriveLink(NODE)
    bench.after = lambda bench, request: bench.objects.__setitem__((0x6061, 0), PP)
    with pytest.raises(ModeRefused, match="not taken within 7 s") as caught:
        bench.run(set_mode(link, "csp"))
    assert caught.value.shown == "1 profile position (pp)"
    assert writes_of(bench) == [CSP, PP]
    assert bench.words == []


def test_a_mode_that_is_never_taken_brings_an_enabled_drive_to_rest():
    bench, link = Bench("SOD", x6502=ALL, x6061=PP, x6060=PP), DriveLink(NODE)
    bench.run(power.enable(link))
    bench.words.clear()
    bench.after = lambda bench, request: bench.objects.__setitem__((0x6061, 0), PP)
    with pytest.raises(ModeRefused) as caught:
        bench.run(set_mode(link, "csp", timeout_s=0.5))
    assert caught.value.at_rest
    assert bench.words == [0x02, 0x00]
    assert not link.permitted


def test_a_write_that_is_refused_names_the_reason():
    bench, link = Bench("OE", x6502=ALL), DriveLink(NODE)

    def refuse(bench, request):
        if isinstance(request, SdoWrite) and request.index == 0x6060:
            raise refused(request)

    bench.before = refuse
    with pytest.raises(ModeRefused, match="6060:00 cannot be written: not in this state"):
        bench.run(set_mode(link, "pv"))
    assert bench.words == []


def test_a_drive_without_6061_is_taken_at_its_word():
    bench, link = Bench("SO", x6502=ALL), DriveLink(NODE)
    del bench.objects[0x6061, 0]
    bench.after = lambda bench, request: bench.objects.pop((0x6061, 0), None)
    assert bench.run(set_mode(link, "pv")) == PV


def test_what_the_mode_follows_says_stay_before_the_mode_is_written():
    bench, link = Bench("OE", x6502=ALL, x60FF=700, x607A=9999), DriveLink(NODE)
    bench.run(set_mode(link, "pv"))
    assert bench.writes == [(0x60FF, 0, 0), (0x6060, 0, PV)]
    bench.run(set_mode(link, "csp"))
    assert bench.writes[2:] == [(0x607A, 0, 1000), (0x6060, 0, CSP)]


# --- halt ---


def halting(state, word):
    """A drive that refuses a change of mode while halt is set."""
    bench = Bench(state, x6502=ALL, x6061=PP, x6060=PP, x6040=word)
    bench.word = word

    def refuse(bench, request):
        if isinstance(request, SdoWrite) and request.index == 0x6060 and bench.word & HALT:
            raise refused(request)

    bench.before = refuse
    return bench


QUIRK = DriveQuirks(halt_blocks_modes=True)


@pytest.mark.parametrize(("state", "word"), [("SOD", 0x00), ("RTSO", 0x06), ("SO", 0x07)], ids=["SOD", "RTSO", "SO"])
def test_halt_is_cleared_for_the_change_where_nothing_can_go_on(state, word):
    bench, link = halting(state, word | HALT), DriveLink(NODE, quirks=QUIRK)
    assert bench.run(set_mode(link, "pv")) == PV
    assert bench.words == [word]
    assert bench.state == state


def test_halt_of_an_enabled_drive_is_not_cleared_what_was_halted_would_go_on():
    bench, link = halting("OE", 0x0F | HALT), DriveLink(NODE, quirks=QUIRK)
    with pytest.raises(ModeRefused, match=r"halt is set.*clear halt, or disable it first"):
        bench.run(set_mode(link, "pv"))
    assert bench.words == []
    assert writes_of(bench) == []


def test_without_the_quirk_the_refusal_says_that_halt_may_be_why():
    bench, link = halting("SOD", 0), DriveLink(NODE)
    bench.run(power.enable(link))
    bench.run(power.halt(link))
    with pytest.raises(ModeRefused, match="halt is set, which some drives do not allow"):
        bench.run(set_mode(link, "pv"))
    assert is_word(bench.requests[-2]) is False


def test_a_silent_drive_in_the_middle_of_a_change():
    bench, link = Bench("SO", x6502=ALL), DriveLink(NODE)
    written = []

    def lose(bench, request):
        if isinstance(request, SdoWrite) and request.index == 0x6060:
            written.append(True)
        if written and isinstance(request, SdoRead) and request.index == 0x6061:
            raise SdoTimeout(NODE, 0x6061, 0, "read", 0.5)

    bench.before = lose
    with pytest.raises(SdoTimeout):
        bench.run(set_mode(link, "pv"))
    assert bench.words == []
