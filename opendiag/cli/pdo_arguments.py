"""How PDOs, CAN-IDs and states are said on the command line, and what the `pdo` commands say about them alike."""

from __future__ import annotations

import re
from typing import Any

import click

from opendiag.cli import output
from opendiag.decode.render import row
from opendiag.diagnose.pdo_why_facts import told_state
from opendiag.master.network import Network
from opendiag.master.variable import NodeVariable
from opendiag.services.pdo_parameters import PdoParameters
from opendiag.wire.cob_id import CobId
from opendiag.wire.nmt import NmtState
from opendiag.wire.pdo import DAM_MPDO, MAX_PDOS

_PDO = re.compile(r"([tr])pdo(\d*)", re.IGNORECASE)
_HEX = re.compile(r"(?:0x)?([0-9a-f]{1,8})h?", re.IGNORECASE)
_COMMAND = re.compile(r"`(opendiag [^`]*)`")
_DIRECTIONS = {"t": True, "r": False}


def take_pdo(words: list[str]) -> tuple[bool, int | None]:
    """Takes "tpdo 4", "tpdo4" or "tpdo" (all of them) from the front of ``words``: (transmit, number).

    Raises click.BadParameter for anything else.
    """
    word = words.pop(0)
    found = _PDO.fullmatch(word)
    if found is None:
        raise click.BadParameter(f"{word!r} is no PDO: expected one such as tpdo 1 or rpdo 2")
    digits = found[2]
    if not digits and words and words[0].isdigit():
        digits = words.pop(0)
    if digits and not 1 <= int(digits) <= MAX_PDOS:
        raise click.BadParameter(f"{word} {digits}: PDOs have numbers from 1 to {MAX_PDOS}")
    return _DIRECTIONS[found[1].lower()], int(digits) if digits else None


def take_one_pdo(words: list[str]) -> tuple[bool, int]:
    """As `take_pdo`, with a number. Where the number is missing "6041" is an object: it is not taken for one."""
    if not words:
        raise click.BadParameter("say which PDO, as in tpdo 1")
    bare = _PDO.fullmatch(words[0])
    if bare is not None and not bare[2] and (len(words) == 1 or not re.fullmatch(r"\d{1,3}", words[1])):
        raise click.BadParameter(f"{words[0]}: say which, as in {words[0]} 1")
    transmit, number = take_pdo(words)
    assert number is not None
    return transmit, number


def can_id(context: click.Context, parameter: click.Parameter, text: str | None) -> CobId | None:
    """A CAN-ID as an option: 1E5, 0x1E5, 1E5h; above 7FF it has 29 bits."""
    if text is None:
        return None
    found = _HEX.fullmatch(text)
    value = int(found[1], 16) if found else -1
    if not 0 < value <= 0x1FFF_FFFF:
        raise click.BadParameter(f"{text!r} is no CAN-ID: expected hexadecimal digits, as in 1E5 (1 to 1FFFFFFF)")
    return CobId(value, value > 0x7FF)


def summary(parameters: PdoParameters) -> str:
    """As in "1E5h, type 1: sent with every SYNC, inhibit time 10 ms"."""
    p = parameters
    parts = [f"{p.cob.text}h{'' if p.valid else ' (switched off)'}", f"type {p.transmission_type}: {p.meaning}"]
    if p.sync_start:
        parts.append(f"from SYNC counter {p.sync_start} on")
    if p.inhibit_s:
        parts.append(f"inhibit time {ms(p.inhibit_s)}")
    if p.event_s:
        parts.append(f"{'event timer' if p.transmit else 'deadline'} {ms(p.event_s)}")
    if p.transmit and not p.remote_allowed:
        parts.append("no remote frames")
    return ", ".join(parts)


def contents(parameters: PdoParameters) -> str:
    """As in "2 objects, 24 bits"."""
    p = parameters
    if p.multiplexed:
        return f"multiplexed ({'destination' if p.multiplexed == DAM_MPDO else 'source'} address)"
    if p.missing:
        return f"{p.count} objects, not all of which could be read"
    if not p.entries:
        return "nothing is mapped"
    count = len(p.entries)
    return f"{count} object{'s' * (count != 1)}, {p.bits} bits"


def ms(seconds: float) -> str:
    """As in "0.5 ms", "100 ms"."""
    return f"{round(seconds * 1000, 4):g} ms"


def to_dict(parameters: PdoParameters) -> dict[str, Any]:
    """JSON form of the parameters, with names of units as in the API."""
    p = parameters
    return {
        "pdo": p.name,
        "can_id": p.cob.can_id,
        "extended": p.cob.extended,
        "valid": p.valid,
        "remote_allowed": p.remote_allowed,
        "transmission_type": p.transmission_type,
        "meaning": p.meaning,
        "inhibit_s": p.inhibit_s,
        "event_s": p.event_s,
        "sync_start": p.sync_start,
        "multiplexed": p.multiplexed,
        "bits": p.bits,
    }


def value_text(variable: NodeVariable, raw: bytes) -> str:
    """As `opendiag read` prints it, without its details: "0x0250 (SWITCH ON DISABLED)", "4096 counts (= 1 rev)"."""
    made = row(variable.record(raw))
    text = made.text.partition("; ")[0]
    text = text.partition(" (")[0] if text.startswith("= ") else text
    return f"{made.value} ({text})" if text else made.value


def tell_state(network: Network, node_id: int, what: str, interface: str | None) -> bool:
    """Say on stderr that the node is not OPERATIONAL, as far as that is known; True when it was said.

    ``what`` says what does not happen then, as in "sends no PDOs".
    """
    told = told_state(network.watch, node_id, network.clock.now())
    if told.state is None or told.state is NmtState.OPERATIONAL:
        return False
    start = f"`opendiag nmt start {node_id}`"
    said = f"Node {node_id} is {told.state.text} ({told.how}) and {what}: {start} starts it."
    output.note(with_interface(said, interface))
    return True


def with_interface(text: str, interface: str | None) -> str:
    """The commands in a sentence, as they are to be typed for this bus."""
    if interface is None:
        return text
    quoted = f"'{interface}'" if " " in interface else interface
    return _COMMAND.sub(lambda found: f"`{found[1]} -i {quoted}`", text)
