"""opendiag.cia402.link: objects by number and axis, the two words, and the lock on what energises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_bench import NODE, Bench, is_word, lost

from opendiag.cia402.link import DriveLink
from opendiag.cia402.path import energises
from opendiag.errors import DriveFault, NotEnabled, NotPermitted, SdoAborted, UnknownTarget, WireError
from opendiag.services.plans import SdoRead, SdoWrite


@pytest.mark.parametrize("axis", range(8))
def test_each_axis_has_its_objects(axis):
    link = DriveLink(NODE, axis=axis)
    assert link.index(0x6041) == 0x6041 + axis * 0x800
    assert link.index(0x67FF) == 0x67FF + axis * 0x800
    assert link.index(0x1018) == 0x1018
    assert link.index(0x2040) == 0x2040


@pytest.mark.parametrize("axis", [-1, 8, 99])
def test_there_are_eight_axes(axis):
    with pytest.raises(UnknownTarget, match="axis"):
        DriveLink(NODE, axis=axis)


def test_both_words_are_those_of_the_axis():
    link = DriveLink(NODE, axis=2)
    plan = link.control(0x06)
    assert next(plan) == SdoWrite(NODE, 0x7040, 0, b"\x06\0", None)
    plan = link.status(0.1)
    next(plan)
    assert plan.send(5.0) == SdoRead(NODE, 0x7041, 0, 0.1)


@pytest.mark.parametrize("index", [0x6040, 0x6840, 0x7040, 0x9840])
def test_the_controlword_of_no_axis_is_written_past_the_lock(index):
    bench, link = Bench("SO"), DriveLink(NODE)
    with pytest.raises(WireError, match="control"):
        bench.run(link.write(index, 0x0F))
    assert bench.requests == []


@given(st.integers(0, 0xFFFF))
def test_without_leave_no_word_that_energises_is_sent(word):
    bench, link = Bench("SO"), DriveLink(NODE)
    if energises(word):
        with pytest.raises(NotPermitted, match="was not sent"):
            bench.run(link.control(word))
        assert bench.requests == []
    else:
        bench.run(link.control(word))
        assert bench.words == [word]


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_a_change_of_bits_keeps_the_others_and_keeps_it_enabled(word, set_bits, clear_bits):
    bench, link = Bench("OE"), DriveLink(NODE)
    link.permit(link.stops)
    link.controlword = word
    bench.run(link.change(set_bits=set_bits, clear_bits=clear_bits))
    (sent,) = bench.words
    assert sent & 0x8F == 0x0F
    assert sent & 0xFF70 == (word & ~clear_bits | set_bits) & 0xFF70


@pytest.mark.parametrize("state", ["NRSO", "SOD", "RTSO", "SO", "QSA"])
def test_a_change_of_bits_of_a_drive_that_is_off_is_not_sent(state):
    bench, link = Bench(state), DriveLink(NODE)
    link.permit(link.stops)
    with pytest.raises(NotEnabled, match="it left OPERATION ENABLED while it moved"):
        bench.run(link.change(set_bits=0x10, during="it moved"))
    assert bench.words == []
    assert not link.permitted


@pytest.mark.parametrize("state", ["FRA", "F"])
def test_a_change_of_bits_of_a_drive_in_a_fault(state):
    bench, link = Bench(state, x603F=0x8611), DriveLink(NODE)
    link.permit(link.stops)
    with pytest.raises(DriveFault, match="while it moved: error 8611h"):
        bench.run(link.change(set_bits=0x10, during="it moved"))
    assert bench.words == []


def test_a_drive_that_was_never_enabled_did_not_leave_that():
    bench, link = Bench("SO"), DriveLink(NODE)
    with pytest.raises(NotEnabled, match=r"it is not enabled but in SWITCHED ON: enable\(\) comes first"):
        bench.run(link.change(set_bits=0x10, during="it moved"))


def test_a_stop_between_looking_and_writing():
    bench, link = Bench("OE"), DriveLink(NODE)
    link.permit(link.stops)
    bench.after = lambda bench, request: link.revoke() if isinstance(request, SdoRead) else None
    with pytest.raises(NotEnabled, match="not any more"):
        bench.run(link.change(set_bits=0x10))
    assert bench.words == []


def test_leave_that_was_asked_for_before_a_stop_is_not_given_after_it():
    link = DriveLink(NODE)
    stops = link.stops
    link.revoke()
    with pytest.raises(NotPermitted):
        link.permit(stops)
    assert not link.permitted
    link.permit(link.stops)
    assert link.permitted


def test_a_boot_up_ends_the_leave():
    booted = [None]
    link = DriveLink(NODE, booted_at=lambda: booted[0])
    link.permit(link.stops)
    assert link.permitted
    booted[0] = 12.5
    assert not link.permitted


def test_an_object_is_signed_as_its_type_is():
    bench, link = Bench("SO", x60FF=-5, x6077=-7, x6502=0x8000_0001), DriveLink(NODE)
    assert [bench.run(link.read(index)) for index in (0x60FF, 0x6077, 0x6502)] == [-5, -7, 0x8000_0001]


def test_objects_that_may_be_missing():
    bench, link = Bench("SO"), DriveLink(NODE)
    assert bench.run(link.read_if_there(0x607A)) is None
    assert bench.run(link.write_if_there(0x607A, 5)) is False
    with pytest.raises(SdoAborted):
        bench.run(link.read(0x607A))


def test_a_refusal_is_not_a_missing_object():
    bench, link = Bench("SO", x607A=0), DriveLink(NODE)

    def refuse(bench, request):
        if isinstance(request, SdoWrite):
            raise SdoAborted(NODE, 0x607A, 0, "write", 0x0609_0030, "value range")

    bench.before = refuse
    with pytest.raises(SdoAborted):
        bench.run(link.write_if_there(0x607A, 5))


def test_a_value_that_its_type_cannot_hold_is_not_sent():
    bench, link = Bench("SO"), DriveLink(NODE)
    with pytest.raises(WireError):
        bench.run(link.write(0x6060, 300))
    with pytest.raises(WireError, match="type of 2F00:00 is not known"):
        bench.run(link.write(0x2F00, 3))
    assert bench.requests == []


def test_a_statusword_of_one_byte_is_none():
    bench, link = Bench("SO"), DriveLink(NODE)
    bench.read = lambda index, subindex: b"\x27"
    with pytest.raises(WireError):
        bench.run(link.status())
    assert link.state is None


def test_the_time_of_a_statusword_is_that_of_the_question():
    bench, link = Bench("SO"), DriveLink(NODE)

    def slow(bench, request):
        if isinstance(request, SdoRead):
            bench.now += 0.4

    bench.after = slow
    bench.run(link.status())
    assert link.status_at == 100.0


def test_the_error_code_of_a_fault_may_be_unreadable():
    bench, link = Bench("F"), DriveLink(NODE)

    def lose(bench, request):
        if isinstance(request, SdoRead) and request.index == 0x603F:
            raise lost(request)

    bench.before = lose
    error = bench.run(link.fault("it moved"))
    assert (error.code, error.text) == (None, "")


def test_a_word_counts_as_written_even_when_its_answer_is_lost():
    bench, link = Bench("SO"), DriveLink(NODE)

    def lose(bench, request):
        if is_word(request):
            raise lost(request)

    bench.after = lose
    with pytest.raises(TimeoutError):
        bench.run(link.control(0x8006))
    assert (link.controlword, link.writes) == (0x8006, 1)
