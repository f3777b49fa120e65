"""What a plan may ask of whoever runs it.

A plan is a generator. It yields one of these requests, and gets the answer back or an `OpenDiagError` thrown into it.
Scan, doctor, enable, homing and moves are plans: they know nothing of threads and clocks, and the same plan runs on a
live bus, on a simulated one and on a clock that a test winds by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from opendiag.frame import Frame

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SdoRead:
    """Answer: the object's bytes. Thrown: SdoError, AdapterError. ``timeout_s`` None: the node's own.

    ``urgent``: it goes before other transfers with the node, and one that keeps it waiting is cancelled.
    """

    node_id: int
    index: int
    subindex: int = 0
    timeout_s: float | None = None
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class SdoWrite:
    """Answer: None. Thrown: SdoError, AdapterError. ``urgent`` as in `SdoRead`."""

    node_id: int
    index: int
    subindex: int
    data: bytes
    timeout_s: float | None = None
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Sleep:
    """Answer: None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class WaitFor:
    """Answer: the first frame that suits, or None when none came in time.

    Frames since the plan's last `Send` or `WaitFor` count: an answer that was quick is not missed.
    """

    suits: Callable[[Frame], bool]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Send:
    """Answer: None. Thrown: AdapterError."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Now:
    """Answer: the time in monotonic seconds."""


@dataclass(frozen=True, slots=True)
class Gather:
    """Answer: the plans' results in their order, once all are over. They run side by side, ``window`` at most.

    One that fails does not disturb the others: its OpenDiagError stands in its place. Raise TypeError for requests.
    """

    plans: tuple[Plan[Any], ...]
    window: int | None = None

    def __post_init__(self) -> None:
        _check_plans("Gather", self.plans)


@dataclass(frozen=True, slots=True)
class Together:
    """Answer: the plans' results in their order. They run side by side, and succeed or fail as one.

    Into the others of one that fails PlanCancelled is thrown. When all are over, the first failure is thrown here.
    Raise TypeError for requests.
    """

    plans: tuple[Plan[Any], ...]

    def __post_init__(self) -> None:
        _check_plans("Together", self.plans)


def _check_plans(what: str, plans: Any) -> None:
    """A request is a step of a plan, and no plan."""
    if not isinstance(plans, (tuple, list)):
        raise TypeError(f"{what} takes a tuple of plans, not {plans!r}")
    for plan in plans:
        if not isinstance(plan, Generator):
            hint = "a function that yields this request makes one" if isinstance(plan, _STEPS) else "call its function"
            raise TypeError(f"{what} takes plans, not {plan!r}: {hint}")


_STEPS = (SdoRead, SdoWrite, Sleep, WaitFor, Send, Now, Gather, Together)
Request = SdoRead | SdoWrite | Sleep | WaitFor | Send | Now | Gather | Together
Plan = Generator[Request, Any, T]
