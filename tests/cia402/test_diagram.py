"""opendiag.cia402.diagram, and the page that is made with it. OPENDIAG_UPDATE_DOCS=1 writes the page instead."""

import os
import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest

from opendiag.cia402.diagram import (
    HALF_X,
    HALF_Y,
    HEIGHT,
    PLACES,
    ROUTES,
    WIDTH,
    states_table,
    svg,
    transitions_table,
    ways_table,
)
from opendiag.cia402.states import TRANSITIONS, PdsState

DOCS = Path(__file__).parents[2] / "docs" / "reference"
PARTS = {"transitions": transitions_table, "states": states_table, "ways": ways_table}


def filled(page):
    """The page with the tables that the code gives."""
    for name, table in PARTS.items():
        before = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        page, count = re.subn(before, lambda match, table=table: f"{match[1]}\n{table()}\n{match[2]}", page, flags=re.S)
        assert count == 1, name
    return page


def test_the_page_is_what_the_table_gives():
    file = DOCS / "drive-states.md"
    page = file.read_text(encoding="utf-8")
    if os.environ.get("OPENDIAG_UPDATE_DOCS"):
        file.write_text(filled(page), encoding="utf-8")
    else:
        assert page == filled(page)


def test_the_picture_is_what_the_table_gives():
    file = DOCS / "drive-states.svg"
    if os.environ.get("OPENDIAG_UPDATE_DOCS"):
        file.write_text(svg(), encoding="utf-8")
    assert file.read_text(encoding="utf-8") == svg()


def on_edge(point, state):
    x, y = point
    middle_x, middle_y = PLACES[state]
    off_x, off_y = abs(x - middle_x), abs(y - middle_y)
    return (off_x == HALF_X and off_y <= HALF_Y) or (off_y == HALF_Y and off_x <= HALF_X)


@pytest.mark.parametrize("made", TRANSITIONS, ids=lambda made: made.number)
def test_each_line_leads_from_its_state_to_its_state(made):
    points, _ = ROUTES[made.number]
    assert on_edge(points[-1], made.target)
    assert made.source is None or on_edge(points[0], made.source)
    others = set(PdsState) - {made.source, made.target}
    assert not [point for point in points for other in others if on_edge(point, other)]
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(points))


def test_the_picture_has_every_state_and_every_transition():
    root = ET.fromstring(svg())
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {state.value for state in PdsState} <= set(texts)
    assert {str(made.number) for made in TRANSITIONS} <= set(texts)
    assert set(ROUTES) == {made.number for made in TRANSITIONS}
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for points, label in ROUTES.values() for x, y in (*points, label))
