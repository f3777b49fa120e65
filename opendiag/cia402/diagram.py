"""The state diagram of a drive as SVG, and the tables of its transitions, from `opendiag.cia402.states`."""

from __future__ import annotations

from opendiag.cia402.path import COMMAND_WORDS, ENERGISED, WAYS, Target
from opendiag.cia402.states import STATUSWORD_PATTERNS, TRANSITIONS, PdsState, Transition

S = PdsState
WIDTH, HEIGHT = 840, 560
#: Half of a state's box.
HALF_X, HALF_Y = 105, 22
#: Where the middle of each state is.
PLACES: dict[PdsState, tuple[int, int]] = {
    S.NOT_READY_TO_SWITCH_ON: (260, 90),
    S.SWITCH_ON_DISABLED: (260, 190),
    S.READY_TO_SWITCH_ON: (260, 290),
    S.SWITCHED_ON: (260, 390),
    S.OPERATION_ENABLED: (260, 490),
    S.QUICK_STOP_ACTIVE: (590, 490),
    S.FAULT_REACTION_ACTIVE: (680, 90),
    S.FAULT: (680, 190),
}
#: The points of each transition's line, from where it leaves a state to where it enters the next, and where its
#: number stands.
ROUTES: dict[int, tuple[tuple[tuple[int, int], ...], tuple[int, int]]] = {
    0: (((260, 30), (260, 68)), (272, 48)),
    1: (((260, 112), (260, 168)), (272, 144)),
    2: (((220, 212), (220, 268)), (206, 244)),
    3: (((220, 312), (220, 368)), (206, 344)),
    4: (((220, 412), (220, 468)), (206, 444)),
    5: (((300, 468), (300, 412)), (312, 444)),
    6: (((300, 368), (300, 312)), (312, 344)),
    7: (((300, 268), (300, 212)), (312, 244)),
    8: (((155, 484), (90, 484), (90, 290), (155, 290)), (80, 390)),
    9: (((155, 498), (40, 498), (40, 190), (155, 190)), (30, 340)),
    10: (((365, 390), (430, 390), (430, 202), (365, 202)), (444, 300)),
    11: (((365, 480), (485, 480)), (425, 474)),
    12: (((590, 468), (590, 240), (500, 240), (500, 188), (365, 188)), (604, 350)),
    13: (((680, 30), (680, 68)), (694, 48)),
    14: (((680, 112), (680, 168)), (694, 144)),
    15: (((575, 176), (365, 176)), (470, 170)),
    16: (((485, 500), (365, 500)), (425, 516)),
}
_STYLE = (
    "text{font:12px sans-serif;text-anchor:middle}.n{font-weight:bold}"
    "rect{fill:#fff;stroke:#333}.on{fill:#ffd9b3}.fault{fill:#f6c6c6}"
    "polyline{fill:none;stroke:#333;marker-end:url(#tip)}"
)


def svg() -> str:
    """The diagram: states in which current may flow through the motor are coloured."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">',
        f"<style>{_STYLE}</style>",
        '<defs><marker id="tip" markerWidth="9" markerHeight="8" refX="9" refY="4" orient="auto">'
        '<path d="M0,0 L9,4 L0,8 z" fill="#333"/></marker></defs>',
        '<text x="260" y="24">power on</text>',
        '<text x="680" y="24">any state: a fault</text>',
    ]
    for state, (x, y) in PLACES.items():
        kind = "fault" if state is S.FAULT else "on" if state in ENERGISED else "off"
        size = f'width="{2 * HALF_X}" height="{2 * HALF_Y}"'
        lines.append(
            f'<rect class="{kind}" x="{x - HALF_X}" y="{y - HALF_Y}" {size} rx="6"/>'
            f'<text x="{x}" y="{y + 4}">{state.value}</text>'
        )
    for made in TRANSITIONS:
        points, (x, y) = ROUTES[made.number]
        drawn = " ".join(f"{px},{py}" for px, py in points)
        lines.append(f'<polyline points="{drawn}"><title>{cause(made)}</title></polyline>')
        lines.append(f'<text class="n" x="{x}" y="{y}">{made.number}</text>')
    return "\n".join([*lines, "</svg>", ""])


def cause(made: Transition) -> str:
    """What leads to a transition, as in "disable voltage (0000h), or by itself"."""
    asked = [f"{command.value} ({COMMAND_WORDS[command]:04X}h)" for command in made.commands]
    return " or ".join(asked) + ((", or by itself" if asked else "by itself") if made.automatic else "")


def transitions_table() -> str:
    """In Markdown."""
    rows = ["| no. | from | to | by |", "|---|---|---|---|"]
    for made in TRANSITIONS:
        source = "power on" if made.number == 0 else "any state" if made.source is None else made.source.value
        rows.append(f"| {made.number} | {source} | {made.target.value} | {cause(made)} |")
    return "\n".join(rows) + "\n"


def states_table() -> str:
    """In Markdown: how the statusword shows each state, and whether current may flow through the motor."""
    rows = ["| state | statusword & mask | mask | current may flow |", "|---|---|---|---|"]
    for mask, value, state in STATUSWORD_PATTERNS:
        flows = "yes" if state in ENERGISED else "no"
        rows.append(f"| {state.value} | {value:04X}h | {mask:04X}h | {flows} |")
    return "\n".join(rows) + "\n"


def ways_table() -> str:
    """In Markdown: what is sent first, from each state to each target."""
    rows = ["| from \\ to | " + " | ".join(target.value.value for target in Target) + " |", "|---" * 5 + "|"]
    for state in PdsState:
        cells = []
        for target in Target:
            command = WAYS[target].get(state)
            cells.append("there" if state is target.value else "-" if command is None else command.value)
        rows.append(f"| {state.value} | " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"
