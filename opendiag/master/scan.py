"""`Network.scan`: the scan as a plan of `opendiag.services.scan`, with what the network knows of its bus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from opendiag.diagnose import bus_causes, codes
from opendiag.diagnose.error_tally import CODING
from opendiag.diagnose.heard import NodeHeard
from opendiag.diagnose.situation import Situation, listed
from opendiag.diagnose.why import why_no_answer
from opendiag.findings import Finding, Severity
from opendiag.frame import Frame
from opendiag.master.arguments import checked_node_id
from opendiag.master.plan_runner import RunningPlan
from opendiag.services.bus_pace import most_bits
from opendiag.services.scan import Scan
from opendiag.services.scan_result import FoundNode, Heard, ScanResult
from opendiag.services.scan_talk import OBJECTS
from opendiag.services.sdo_channel import SdoChannel
from opendiag.simulate.bits import INTERMISSION_BITS, frame_bits

if TYPE_CHECKING:
    from opendiag.master.network import Network

_OF_THE_BUS = (codes.LISTEN_ONLY, codes.BIT_RATE, codes.BUS_OFF, codes.BUS_EMPTY, codes.NOT_SENT)


class NetworkScan:
    """A scan of a network. `result` gives what was found so far, also after `run` was broken off by Ctrl-C.

    Nodes that have a client here are read through that. Raise ValueError for an address outside 1..127, TypeError for
    what is no list of node-IDs.
    """

    def __init__(
        self,
        network: Network,
        addresses: Iterable[int] = range(1, 128),
        *,
        listen_s: float = 1.0,
        timeout_s: float = 0.1,
        passive: bool = False,
        progress: Callable[[int], None] = lambda done: None,
    ) -> None:
        if isinstance(addresses, (str, bytes)) or not isinstance(addresses, Iterable):
            raise TypeError(f"addresses are node-IDs, as in [5] and range(1, 11), not {addresses!r}")
        addresses = [checked_node_id(address) for address in addresses]
        self._network = network
        self._passive = passive
        self._began = network.clock.now()
        self._scan = Scan(
            addresses,
            listen_s=listen_s,
            timeout_s=timeout_s,
            bit_rate=network.bit_rate,
            known=self._heard,
            passive=passive,
            clients=network.nodes_in_use,
            hindered=self._hindered,
            bits_of=_bits,
            progress=progress,
        )

    def run(self) -> ScanResult:
        """To its end; the network's nodes know who they are after that. Raise AdapterError, BlockingCall."""
        self._network.run(self._scan.plan())
        return self.finished()

    def begin(self) -> RunningPlan[ScanResult]:
        """Let it go on by itself; `finished` when it is done."""
        return self._network.begin(self._scan.plan())

    def finished(self) -> ScanResult:
        """The `result`, which the network's nodes learn."""
        found = self.result()
        self._teach(found)
        return found

    def result(self) -> ScanResult:
        """What is known by now, with the names of the devices and what is odd about the bus."""
        now = self._network.clock.now()
        found = self._scan.result(now)
        findings = list(found.findings)
        said = {finding.code for finding in findings}
        findings += [finding for finding in self._of_the_bus(found, now) if finding.code not in said]
        return replace(found, nodes=tuple(self._named(node) for node in found.nodes), findings=tuple(findings))

    def _teach(self, found: ScanResult) -> None:
        nodes = self._network.nodes
        for one in found:
            if one.how != "answered" or (node := nodes.get(one.node_id)) is None:
                continue
            numbers = (one.device_type, one.vendor_id, one.product_code, one.revision, one.serial)
            with self._network.pump.lock:
                for key, number in zip(OBJECTS, numbers, strict=True):
                    if number is not None:
                        node.view.learn(*key, number.to_bytes(4, "little"), False)
                self._network.monitor.identify(one.node_id)
            if node.needs_identity and not one.error:
                node.identified((one.vendor_id, one.product_code, one.revision))

    def _named(self, node: FoundNode) -> FoundNode:
        dictionary = self._network.dictionary_of(node.node_id)
        if dictionary is None and node.vendor_id is not None and node.product_code is not None:
            dictionary = self._network.library.find(node.vendor_id, node.product_code, node.revision)
        return node if dictionary is None else replace(node, name=dictionary.name)

    def _heard(self) -> Mapping[int, Heard]:
        with self._network.pump.lock:
            heard = self._network.watch.heard_nodes()
            return {node.node_id: Heard(node.state, node.service, node.last_at) for node in heard}

    # --- why nothing gets through ---

    def _why(self, since: float, now: float) -> list[Finding]:
        """What `doctor` would say of the bus itself."""
        network = self._network
        found = why_no_answer(network.watch, SdoChannel.default(1), 0x1000, 0, since, now, network.facts())
        return [finding for finding in found if finding.code in _OF_THE_BUS]

    def _hindered(self, since: float) -> list[Finding]:
        """Only what is sure while the scan runs: a bus whose nodes say nothing by themselves is no empty one."""
        network, now = self._network, self._network.clock.now()
        s = Situation(network.watch, SdoChannel.default(1), 0x1000, 0, since, now, network.facts())
        sure = s.not_acknowledged or s.unreadable or bus_causes.bus_off(s) is not None
        return self._why(since, now) if sure else []

    def _of_the_bus(self, found: ScanResult, now: float) -> list[Finding]:
        watch = self._network.watch
        if not found.nodes:
            if there := watch.heard_nodes():
                return [_elsewhere(found, there, self._passive)]
            why = self._why(self._began, now)
            return [f for f in why if f.code == codes.BIT_RATE] if self._passive else why
        if watch.errors.seen_since(max(self._began, watch.first_at or 0.0), *CODING):
            text = watch.errors.text(*CODING)
            return [Finding(codes.BUS_DISTURBED, Severity.WARNING, f"There were errors on the bus: {text}.")]
        return []


def _elsewhere(found: ScanResult, there: list[NodeHeard], passive: bool) -> Finding:
    """None of the addresses that were wanted is there, and others are."""
    count = found.addresses
    who = f"The node-ID {'was not heard' if passive else 'did not answer'}" if count == 1 else ""
    who = who or f"None of {count} node-IDs {'was heard' if passive else 'answered'}"
    return Finding(
        codes.WRONG_NODE_ID,
        Severity.WARNING,
        f"{who}, but {listed(there)} {'is' if len(there) == 1 else 'are'} on the bus.",
        node=there[0].node_id,
        advice="`opendiag scan` without node-IDs asks them all.",
    )


def _bits(frame: Frame) -> int:
    return most_bits(frame) if frame.error or frame.fd else frame_bits(frame) + INTERMISSION_BITS
