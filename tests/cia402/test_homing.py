"""opendiag.cia402.homing: methods and results."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.cia402.homing import METHODS, HomingResult, homing_method, homing_result, is_known, method_text
from opendiag.dictionary import builtin


@pytest.mark.parametrize(
    ("method", "text"),
    [
        (0, "no homing"),
        (1, "negative limit switch, index pulse"),
        (18, "positive limit switch"),
        (3, "positive home switch, index pulse on the negative side of its edge"),
        (22, "negative home switch, its edge in negative direction"),
        (34, "next index pulse in positive direction"),
        (35, "current position (obsolete, now 37)"),
        (37, "current position"),
        (15, "reserved homing method"),
        (31, "reserved homing method"),
        (36, "reserved homing method"),
        (-1, "manufacturer specific homing method"),
    ],
)
def test_methods(method, text):
    assert method_text(method) == text


@pytest.mark.parametrize("method", range(1, 15))
def test_a_method_plus_16_is_the_same_without_index_pulse(method):
    assert "index pulse" in method_text(method)
    assert "index pulse" not in method_text(method + 16)
    assert method_text(method).split(", index")[0] == method_text(method + 16).split(", its")[0]


@pytest.mark.parametrize("method", range(7, 11))
def test_methods_7_to_10_are_mirrored_by_11_to_14(method):
    mirror = {"positive": "negative", "negative": "positive", "upper": "lower", "lower": "upper"}
    words = [mirror.get(word, word) for word in method_text(method).split(" ")]
    assert " ".join(words) == method_text(method + 4)


MIRROR = {"positive": "negative", "negative": "positive"}


@pytest.mark.parametrize(("method", "mirrored"), [(1, 2), (3, 5), (4, 6), (17, 18), (19, 21), (20, 22), (33, 34)])
def test_methods_for_one_end_are_mirrored_by_those_for_the_other(method, mirrored):
    assert " ".join(MIRROR.get(word, word) for word in method_text(method).split(" ")) == method_text(mirrored)


def test_the_methods_of_the_standard():
    known = [method for method in range(-128, 128) if "specific" not in method_text(method)]
    known = [method for method in known if "reserved" not in method_text(method)]
    assert known == [*range(15), *range(17, 31), 33, 34, 35, 37]
    assert len({method_text(method) for method in known}) == len(known)
    assert all(method_text(method) == "manufacturer specific homing method" for method in range(-128, 0))


def test_the_dictionary_has_the_same_methods():
    values = builtin.get(0x6098, 0).values
    assert all(method_text(method) == text for method, text in values.items())
    assert builtin.get(0x60E3, 1).values == values


@given(st.integers(-128, 127))
def test_every_method_has_a_text(method):
    assert method_text(method)


@pytest.mark.parametrize(
    ("word", "result"),
    [
        (0x0000, HomingResult.RUNNING),
        (0x0400, HomingResult.NOT_STARTED),
        (0x1000, HomingResult.ATTAINED_MOVING),
        (0x1400, HomingResult.DONE),
        (0x2000, HomingResult.ERROR_MOVING),
        (0x2400, HomingResult.ERROR_STOPPED),
        (0x3000, None),
        (0x3400, None),
    ],
)
@pytest.mark.parametrize("other_bits", [0, 0x0237, 0xCBFF])
def test_results(word, result, other_bits):
    assert homing_result(word | other_bits) is result


def test_every_statusword_has_one_result_unless_attained_and_error_are_both_set():
    for word in range(0x10000):
        reached, attained, error = (bool(word >> bit & 1) for bit in (10, 12, 13))
        result = homing_result(word)
        assert (result is None) == (attained and error)
        if result is not None:
            assert result.failed == error
            assert (result is HomingResult.DONE) == (attained and reached)
            assert (result is HomingResult.RUNNING) == (not attained and not error and not reached)


def test_what_has_failed():
    assert [result for result in HomingResult if result.failed] == [
        HomingResult.ERROR_MOVING,
        HomingResult.ERROR_STOPPED,
    ]


# --- what each method does and needs ---


def test_the_methods_of_the_standard_are_described():
    known = [method for method in range(1, 38) if "reserved" not in method_text(method)]
    assert sorted(METHODS) == known and all(METHODS[number].number == number for number in known)
    assert len({each.sentence for each in METHODS.values()}) == len(known)
    assert all(each.sentence.startswith("It ") and each.sentence.endswith(".") for each in METHODS.values())


@pytest.mark.parametrize("method", sorted(METHODS))
def test_sentence_and_needs_agree_with_the_name(method):
    what, text = METHODS[method], method_text(method)
    assert what.index_pulse == ("index pulse" in text)
    assert what.home_switch == ("home switch" in text)
    assert what.home_switch == ("home switch" in what.sentence)
    if method in (1, 2, 17, 18):
        assert what.negative_limit == ("negative limit" in text) and what.positive_limit == ("positive limit" in text)
    assert what.moves == ("does not move" not in what.sentence)


@pytest.mark.parametrize("method", range(19, 31))
def test_the_last_step_goes_the_way_that_the_name_says(method):
    way = method_text(method).rsplit(" in ", 1)[1]
    assert way in METHODS[method].sentence.split("edge")[1]


def test_methods_of_makers():
    assert "hard stop" in homing_method(-1, 0x2E1).sentence
    assert "manual" in homing_method(-1).sentence and "manual" in homing_method(36).sentence
    assert is_known(-128) and is_known(37) and not is_known(0) and not is_known(15) and not is_known(-129)
