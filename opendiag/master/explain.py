"""Says why a transfer failed, from what was heard on the bus meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opendiag.diagnose.why import AdapterFacts, why_no_answer, why_protocol
from opendiag.errors import SdoAborted, SdoError, SdoProtocolError, SdoTimeout
from opendiag.services.sdo_channel import SdoChannel
from opendiag.services.sdo_runner import LINE_TROUBLE
from opendiag.services.sdo_transfer import SdoTransfer

if TYPE_CHECKING:
    from opendiag.master.network import Network


def explain(network: Network, channel: SdoChannel, transfer: SdoTransfer, error: SdoError, now: float) -> None:
    """Give the error the object's name, and the findings in ``why``. Call it with the pump's lock held."""
    watch, asked_at = network.watch, transfer.begun_at
    node = network.known_node(transfer.node_id)
    if node is not None:
        error.name = node.view.describe(transfer.index, transfer.subindex).name or ""
    for oddity in transfer.oddities:
        if oddity.code == "SDO-RESTARTED":
            watch.protocol_fault(channel, oddity.sentence, now)
    if isinstance(error, SdoTimeout):
        where = channel, transfer.index, transfer.subindex
        error.why = why_no_answer(watch, *where, asked_at, now, network.facts())
    elif isinstance(error, SdoProtocolError) or (isinstance(error, SdoAborted) and error.code in LINE_TROUBLE):
        error.why = why_protocol(watch, channel, error, asked_at, now, network.facts())


def adapter_facts(network: Network) -> AdapterFacts:
    """What the adapter says of itself, as far as it does."""
    port = network.port
    state, tx_errors = getattr(port, "bus_state", None), getattr(port, "tx_errors", None)
    # Without an acknowledge the controller tries again at once and counts each time, up to error-passive.
    well = not port.listen_only and state == "error-active" and tx_errors == 0
    return AdapterFacts(
        name=network.name,
        listen_only=port.listen_only,
        sent_ok=True if well else None,
        bus_state=state,
        bit_rate=network.bit_rate,
        tx_errors=tx_errors,
        rx_errors=getattr(port, "rx_errors", None),
    )
