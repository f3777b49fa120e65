"""What a network knows of its nodes and of itself, as `opendiag top` shows it."""

from __future__ import annotations

from opendiag.cli.top_model import NodeFacts
from opendiag.cli.top_snapshot import BusShown, Range
from opendiag.decode.decoder import Decoder
from opendiag.diagnose.heard import NodeHeard
from opendiag.master.bus_load import BusLoad
from opendiag.master.network import Network
from opendiag.services.heartbeat import NodeLife


class Facts:
    """Sends nothing. Loads are those since it was made; close it."""

    def __init__(self, network: Network, decoder: Decoder) -> None:
        self._network = network
        self._decoder = decoder
        self._load = BusLoad(network.bit_rate, network.clock.now())
        network.pump.listen(self._load)

    def close(self) -> None:
        self._network.pump.unlisten(self._load)

    def bus(self, now: float) -> BusShown:
        """The bus as it is now."""
        network, load = self._network, self._load
        port, told = network.port, network.watch.errors
        state = getattr(port, "bus_state", None)
        tx_errors, rx_errors = getattr(port, "tx_errors", None), getattr(port, "rx_errors", None)
        with network.pump.lock:
            return BusShown(
                name=network.name,
                bit_rate=load.bit_rate,
                load=load.load(now),
                peak=load.peak(now),
                frames=load.frames,
                frames_per_s=load.frames_per_s(now),
                error_frames=load.errors,
                errors_per_s=load.errors_per_s(now),
                state="bus-off" if state is None and told.is_bus_off else state,
                tx_errors=told.tx_errors if tx_errors is None else tx_errors,
                rx_errors=told.rx_errors if rx_errors is None else rx_errors,
            )

    def nodes(self, now: float) -> dict[int, NodeFacts]:
        """Those that were heard, and those that the user has named."""
        network = self._network
        with network.pump.lock:
            heard = {node.node_id: node for node in network.watch.heard_nodes()}
            node_ids = {*heard, *network.watch.expected_nodes}
            return {node_id: self._node(node_id, heard.get(node_id), now) for node_id in node_ids}

    def _node(self, node_id: int, heard: NodeHeard | None, now: float) -> NodeFacts:
        network = self._network
        life = network.watch.heartbeats.nodes.get(node_id)
        latency = network.watch.latency(node_id)
        return NodeFacts(
            name=self._name(node_id),
            frames=sum(seen.count for seen in heard.can_ids) if heard is not None else 0,
            nmt=None if life is None else life.state,
            heartbeat=_periods(life),
            losses=0 if life is None else life.losses,
            lost_s=now - (life.last_heard or now) if life is not None and life.lost else None,
            boot_ups=0 if life is None else life.boot_ups,
            sdo=None if latency is None else Range(latency.min_s * 1000, latency.max_s * 1000),
        )

    def _name(self, node_id: int) -> str | None:
        """Of its dictionary: the one that was given for it, or the one that its identity on the bus has chosen."""
        dictionary = self._decoder.bus(None).node(node_id).dictionary or self._network[node_id].view.dictionary
        return None if dictionary is None else dictionary.name


def _periods(life: NodeLife | None) -> Range | None:
    if life is None or life.period_min_s is None or life.period_max_s is None:
        return None
    return Range(life.period_min_s * 1000, life.period_max_s * 1000)
