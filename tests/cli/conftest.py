"""Commands run in process: what they print, and how they exit."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from opendiag.cli import live, main
from opendiag.master.clock import ManualClock
from opendiag.master.connect import connect
from opendiag.simulate.bus import SimBus
from opendiag.simulate.devices import Witness

sys.path.append(str(Path(__file__).parent))  # for `scripted_bus`
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line; ``stdin`` is what is piped into it."""

    def run_(*arguments: str, stdin: str | bytes = b"") -> Outcome:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        code = 0
        try:
            main(list(arguments))
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run_


@pytest.fixture
def capture() -> str:
    """The StepIM capture, ten frames."""
    return str(ROOT / "examples" / "stepim.log")


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> SimBus:
    """A simulated bus on a clock that only waiting moves; live commands of the test are on it, whatever -i says."""
    made, clock = SimBus(), ManualClock()
    made.attach(Witness(), "witness")
    monkeypatch.delenv("OPENDIAG_INTERFACE", raising=False)
    monkeypatch.setattr(live, "connect", lambda interface, **options: connect(made, clock=clock, **options))
    return made
