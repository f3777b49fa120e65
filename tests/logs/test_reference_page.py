"""What docs/reference/logs.md shows is read as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from opendiag.frame import Frame
from opendiag.logs import oddities, parse_line

PAGE = (Path(__file__).resolve().parent.parent.parent / "docs" / "reference" / "logs.md").read_text(encoding="utf-8")
VARIANTS = re.search(r"```text\n(.*?)```", PAGE, re.DOTALL)[1].splitlines()
LOG_ROWS = re.findall(r"^\| `((?:[0-9A-F]{3}|[0-9A-F]{8})#[^|]*) \|", PAGE, re.MULTILINE)


def test_every_finding_is_listed_with_its_severity() -> None:
    listed = dict(re.findall(r"^\| `(log-[a-z-]+)` \| (\w+) \|", PAGE, re.MULTILINE))
    assert listed == {code: severity.name.lower() for code, (severity, _) in oddities._SENTENCES.items()}


@pytest.mark.parametrize("line", VARIANTS)
def test_every_console_variant_is_the_same_frame(line: str) -> None:
    frame = parse_line(line[:59].rstrip())
    assert (frame.can_id, frame.data) == (0x665, bytes.fromhex("40786000"))


def test_every_body_of_a_log_line() -> None:
    bodies = [body for row in LOG_ROWS for body in re.findall(r"([^`, ]+#[^`]*)", row)]
    assert [parse_line(f"(1436509052.249713) can0 {body}").id_text for body in bodies] == ["665"] * 6 + ["20000004"]


def test_lengths_in_brackets() -> None:
    assert parse_line("can0  665   [4]  40 78 60 00").fd is False
    assert parse_line("can0  665  [04]  40 78 60 00").fd is True
    assert parse_line("can0  665   {9}  00 11 22 33 44 55 66 77") == Frame(
        0x665, bytes.fromhex("0011223344556677"), dlc=9, channel="can0"
    )
