"""Oddities become one finding for each kind, with places and an example."""

from opendiag.logs.oddities import Oddities, printable


def test_one_line_and_several():
    oddities = Oddities("capture.log")
    oddities.note("log-can-xl", 7, "first")
    (one,) = oddities.findings()
    assert (one.code, one.file, one.line, one.evidence, one.assumed) == (
        "log-can-xl",
        "capture.log",
        7,
        "first",
        "skipped",
    )
    assert one.sentence.endswith("in line 7")
    oddities.note("log-can-xl", 9, "second")
    (both,) = oddities.findings()
    assert both.sentence.endswith("in 2 lines (7, 9)")
    assert both.evidence == "first"


def test_kinds_stay_apart_in_the_order_they_came():
    oddities = Oddities("capture.log")
    for code in ("log-length-mismatch", "log-can-xl", "log-length-mismatch"):
        oddities.note(code, 1, "")
    assert [finding.code for finding in oddities.findings()] == ["log-length-mismatch", "log-can-xl"]


def test_amounts_are_added_up():
    oddities = Oddities("capture.log")
    oddities.note("log-drop-count", 3, "", amount=1)
    assert "dropped 1 frame:" in oddities.findings()[0].sentence
    oddities.note("log-drop-count", 5, "", amount=41)
    assert "dropped 42 frames:" in oddities.findings()[0].sentence


def test_examples_are_short_and_fit_for_a_terminal():
    assert printable("  \x1b[31mred\x07 " + "x" * 100) == ".[31mred. " + "x" * 50
