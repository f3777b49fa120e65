"""The page of a plot: what is in it, that it loads nothing, and that its own script draws the same."""

import html.parser
import json
import re
import shutil
import subprocess
from itertools import chain, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.cli.plot_html import Mark, Trace, plot_html, plot_svg, table
from opendiag.cli.plot_svg import WIDTH, number, ticks

TIMES = [n / 100 for n in range(200)]
RAMP = Trace("Position", "counts", TIMES, [n * 10 for n in range(200)])
SPEED = Trace("Velocity", "rpm", TIMES, [5.0] * 200)


class Page(html.parser.HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append(data)


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


def points(svg):
    found = re.findall(r'<polyline[^>]* points="([^"]+)"', svg)
    return [[tuple(map(float, point.split(","))) for point in line.split()] for line in found]


def test_the_page_loads_nothing():
    page = plot_html("A plot", [RAMP], [Mark(0.5, "begins")])
    for tag, attributes in Page(page).tags:
        assert tag not in ("link", "img", "iframe", "object", "embed"), tag
        assert not {"src", "href", "srcset"} & attributes.keys(), (tag, attributes)
    assert "@import" not in page
    assert "url(http" not in page


def test_texts_of_others_stay_texts():
    evil = '</script><script>alert("x")</script>'
    page = plot_html(evil, [Trace(evil, evil, [0, 1], [1, 2])], [Mark(0.5, evil)], [table([evil], [[evil]], evil)])
    assert "<script>alert" not in page
    assert page.count("<script") == 2
    assert data_of(page)["traces"][0]["name"] == evil


def test_every_sample_is_in_the_page():
    data = data_of(plot_html("x", [RAMP, SPEED], [Mark(1.0, "half")]))
    assert data["traces"][0]["v"] == RAMP.values
    assert data["traces"][0]["t"] == TIMES
    assert data["marks"] == [{"t": 1.0, "text": "half"}]
    assert (data["from"], data["to"]) == (0.0, 1.99)


def test_traces_of_one_unit_share_a_panel():
    other = Trace("Demand", "counts", TIMES, [1] * 200)
    data = data_of(plot_html("x", [RAMP, SPEED, other]))
    assert [(panel["unit"], panel["traces"]) for panel in data["geometry"]["panels"]] == [
        ("counts", [0, 2]),
        ("rpm", [1]),
    ]
    states = data_of(plot_html("x", [Trace("a", "", [0, 1], [0, 1]), Trace("b", "", [0, 1], [0, 900])]))
    assert [panel["traces"] for panel in states["geometry"]["panels"]] == [[0], [1]]


def test_a_ramp_goes_up_from_left_to_right():
    ((*line,),) = points(plot_svg([RAMP]))
    xs, ys = zip(*line, strict=True)
    assert list(xs) == sorted(xs)
    assert list(ys) == sorted(ys, reverse=True)  # upwards
    assert 80 <= xs[0] <= 90
    assert WIDTH - 20 <= xs[-1] <= WIDTH


def test_a_value_that_is_missing_leaves_a_gap():
    trace = Trace("x", "", [0, 1, 2, 3, 4, 5], [1, 2, None, float("nan"), 3, 4])
    assert len(points(plot_svg([trace]))) == 2
    assert data_of(plot_html("x", [trace]))["traces"][0]["v"] == [1, 2, None, None, 3, 4]


def test_states_are_steps():
    ((*line,),) = points(plot_svg([Trace("x", "", [0, 1, 2], [0, 5, 0], steps=True)]))
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(line))


def test_a_spike_survives_being_thinned():
    values = [0.0] * 50_000
    values[31_234] = 7.0
    svg = plot_svg([Trace("x", "", [n / 1000 for n in range(50_000)], values)])
    ((*line,),) = points(svg)
    assert len(line) < 5 * WIDTH
    heights = [y for _, y in line]
    assert min(heights) < max(heights) - 100


@pytest.mark.parametrize(
    "traces",
    [
        [],
        [Trace("empty", "", [], [])],
        [Trace("one", "V", [1.0], [3])],
        [Trace("constant", "V", [0, 1], [0, 0])],
        [Trace("nothing known", "V", [0, 1], [None, None])],
        [Trace("same time", "V", [1, 1], [0, 5])],
    ],
)
def test_odd_traces_are_drawn(traces):
    page = plot_html("x", traces, [Mark(0.0, "here")])
    assert "<svg" in page
    assert "nan" not in plot_svg(traces).lower()


def test_traces_that_cannot_be_drawn():
    with pytest.raises(ValueError, match="2 times and 1 values"):
        plot_html("x", [Trace("a", "", [0, 1], [1])])
    with pytest.raises(ValueError, match="its times run backwards"):
        plot_html("x", [Trace("a", "", [1, 0], [1, 2])])


def test_marks_do_not_cover_each_other():
    marks = [Mark(0.5 + n / 1000, f"mark {n}") for n in range(9)]
    svg = plot_svg([RAMP], marks)
    texts = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" fill="#b00020">', svg)
    assert len(texts) == 3  # one in each row; the others say it when pointed at
    assert len({y for _, y in texts}) == 3
    assert svg.count("<title>") == 9


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(2, 12))
def test_ticks_are_round_and_within(low, span, most):
    made = ticks(low, low + span, most)
    assert len(made) <= most + 1
    assert all(low - span * 1e-6 <= tick <= low + span * (1 + 1e-6) for tick in made)


def test_numbers():
    assert [number(each) for each in (0.0, -0.0, 1000, 0.25, 1 / 3)] == ["0", "0", "1000", "0.25", "0.333333"]


# --- the script, run by node with a page that only holds what is written into it ---

DOM = r"""
const fs = require("fs"), page = fs.readFileSync(process.argv[2], "utf8"), elements = {}, handlers = {};
const data = /id="data">([\s\S]*?)<\/script>/.exec(page)[1], script = /<script>([\s\S]*?)<\/script>/.exec(page)[1];
const element = id => elements[id] || (elements[id] = {innerHTML: "", textContent: id === "data" ? data : "",
  addEventListener(name, f) { handlers[name] = f; }, querySelectorAll() { return []; }, setPointerCapture() {},
  getBoundingClientRect() { return {left: 0, width: 1000}; }});
global.document = {getElementById: element, addEventListener(name, f) { handlers[name] = f; }};
eval(script);
const at = (name, x, more) => handlers[name](Object.assign({target: {}, clientX: x, pointerId: 1,
  preventDefault() {}}, more));
const out = {whole: elements.panel0.innerHTML};
at("pointerdown", 300); at("pointermove", 500); at("pointerup", 500);
out.zoomed = elements.panel0.innerHTML;
at("pointerdown", 84); at("pointerup", 84);
at("pointerdown", 985.5); at("pointerup", 985.5, {shiftKey: true});
out.values = elements.values.innerHTML;
at("dblclick", 0);
out.back = elements.panel0.innerHTML;
console.log(JSON.stringify(out));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node runs the script of the page")
def test_the_script_draws_the_same_and_zooms(tmp_path: Path):
    file, dom = tmp_path / "plot.html", tmp_path / "dom.js"
    file.write_text(plot_html("x", [RAMP], [Mark(0.5, "begins")]), encoding="utf-8")
    dom.write_text(DOM, encoding="utf-8")
    done = subprocess.run(["node", dom, file], capture_output=True, text=True, timeout=60, check=True)
    out = json.loads(done.stdout)
    (whole,), (drawn,) = points(out["whole"]), points(plot_svg([RAMP], [Mark(0.5, "begins")]))
    assert list(chain(*whole)) == pytest.approx(list(chain(*drawn)), abs=0.11)
    (zoomed,) = points(out["zoomed"])
    assert 40 <= len(zoomed) <= 60  # 200 of 902 units, of 200 samples, and one at each side
    assert points(out["back"]) == points(out["whole"])
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", out["values"])
    from_, to = float(cells[1]), float(cells[2])
    assert to - from_ == pytest.approx(1.99 * 200 / 902, rel=1e-3)
    row = cells[cells.index("Position [counts]") :]
    assert float(row[3]) == pytest.approx(float(row[2]) - float(row[1]))
    assert float(row[2]) == pytest.approx(to * 1000, abs=10)
