"""What a scan gives: nodes, and what was odd about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, overload

from opendiag.findings import Finding, Severity
from opendiag.services.device_type import device_type_text
from opendiag.services.scan_talk import DEVICE_TYPE, PRODUCT, REVISION, SERIAL, VENDOR, Talk
from opendiag.wire.nmt import NmtState

#: Codes of what a scan finds.
TWO_NODES = "SCAN-TWO-NODES"
OTHER_MASTER = "SCAN-OTHER-MASTER"
NO_ANSWER = "SCAN-NO-ANSWER"


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of a node without asking it: its ``state``, and with ``what`` it was heard last ``at`` seconds."""

    state: NmtState | None = None
    what: str = ""
    at: float | None = None


@dataclass(frozen=True, slots=True)
class FoundNode:
    """``how``: it answered, or it was only heard. ``heard`` is with what ("TPDO1"), ``heard_s`` ago.

    Numbers that the node did not give are None, and ``error`` says why. ``response_s`` is its fastest answer, counted
    from the end of the request on the bus where the bit rate is known. ``name`` is that of its dictionary, if any.
    """

    node_id: int
    how: Literal["heard", "answered"]
    device_type: int | None = None
    vendor_id: int | None = None
    product_code: int | None = None
    revision: int | None = None
    serial: int | None = None
    response_s: float | None = None
    state: NmtState | None = None
    error: str = ""
    heard: str = ""
    heard_s: float | None = None
    name: str = ""

    @property
    def device(self) -> str:
        """The device type in words, as in "402 servo drive"; empty when it is not known."""
        return "" if self.device_type is None else device_type_text(self.device_type)


@dataclass(frozen=True)
class ScanResult(Sequence[FoundNode]):
    """The nodes by node-ID, and what was odd. ``asked`` counts the addresses that were asked, of ``addresses``.

    ``stopped`` says why not all of them were; empty when they were.
    """

    nodes: tuple[FoundNode, ...]
    findings: tuple[Finding, ...] = ()
    asked: int = 0
    addresses: int = 0
    took_s: float = 0.0
    stopped: str = ""

    @overload
    def __getitem__(self, place: int) -> FoundNode: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[FoundNode, ...]: ...

    def __getitem__(self, place: int | slice) -> FoundNode | tuple[FoundNode, ...]:
        return self.nodes[place]

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[FoundNode]:
        return iter(self.nodes)


def found_node(talk: Talk, heard: Heard, now: float) -> FoundNode:
    """What is known of the node, ``now`` in seconds."""
    return FoundNode(
        talk.node_id,
        "answered" if talk.answered else "heard",
        talk.value(DEVICE_TYPE),
        talk.value(VENDOR),
        talk.value(PRODUCT),
        talk.value(REVISION),
        talk.value(SERIAL),
        response_s=talk.response_s,
        state=heard.state,
        error=talk.trouble(),
        heard=heard.what,
        heard_s=None if heard.at is None else now - heard.at,
    )


def other_master(talks: Sequence[Talk]) -> Finding:
    """Requests that were not ours."""
    total = sum(talk.foreign for talk in talks)
    names = ", ".join(str(talk.node_id) for talk in talks[:5])
    names += f" and {len(talks) - 5} more" if len(talks) > 5 else ""
    return Finding(
        OTHER_MASTER,
        Severity.WARNING,
        f"Another master sent {total} SDO request{'s' * (total != 1)} meanwhile, to node{'s' * (len(talks) != 1)} "
        f"{names}.",
        node=talks[0].node_id,
        advice="An SDO channel has one client: what both ask at the same time is answered to both, and transfers "
        "break off. Scan with --passive while the other one works.",
    )


def two_nodes(talk: Talk) -> Finding | None:
    """Answers that one device would not give."""
    for (index, subindex), values in talk.values_seen().items():
        texts = " and ".join(f"{value:08X}h" for value in values)
        return Finding(
            TWO_NODES,
            Severity.ERROR,
            f"{index:04X}:{subindex:02X} of node {talk.node_id} was answered with {texts}: "
            "two devices have this node-ID.",
            node=talk.node_id,
            advice="Disconnect one of them and give the other one another node-ID.",
        )
    if talk.too_many():
        return Finding(
            TWO_NODES,
            Severity.WARNING,
            f"Node {talk.node_id} answered more often than it was asked, always the same: two devices of one kind may "
            "have this node-ID.",
            node=talk.node_id,
            advice="Count the devices, and compare their node-IDs. A gateway that repeats frames does the same.",
        )
    return None


def no_answer(node: FoundNode) -> Finding:
    """It is there and says nothing to us."""
    with_what = f" ({node.heard})" if node.heard else ""
    advice = "A node in the state STOPPED does not answer SDO." if node.state is NmtState.STOPPED else ""
    return Finding(
        NO_ANSWER,
        Severity.WARNING,
        f"Node {node.node_id} was heard{with_what} but does not answer SDO: {node.error}.",
        node=node.node_id,
        advice=advice or f"`opendiag doctor {node.node_id}` says more.",
    )
