"""`connect`: from the name of an interface to a network on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from opendiag.adapters.uri import Interface, SimDevice, parse_interface, sim_devices
from opendiag.dictionary.library import Library
from opendiag.errors import BadInterface
from opendiag.master.clock import Clock, RealClock
from opendiag.master.network import Dictionaries, Network
from opendiag.master.port import CanPort, Port
from opendiag.master.sim_port import SimPort, SimWorld
from opendiag.simulate.bus import SimBus
from opendiag.simulate.devices import Witness, make_device
from opendiag.simulate.faults import Fault
from opendiag.simulate.node import SimNode

if TYPE_CHECKING:
    import can

DEFAULT_BIT_RATE = 1_000_000


def connect(
    interface: str | can.BusABC | SimBus = "sim",
    *,
    dictionaries: Dictionaries | None = None,
    eds_dir: str | Path | None = None,
    library: Library | None = None,
    timeout_s: float = 0.5,
    listen_only: bool = False,
    clock: Clock | None = None,
) -> Network:
    """Open a bus: "socketcan:can0@500k", "sim:stepim", any python-can bus, or a `SimBus`.

    "sim" is the simulator that `opendiag sim --serve` runs on this computer, else a StepIM (node 101) of our own.
    A python-can bus that is handed in stays the caller's: `Network.close` does not shut it down. ``timeout_s`` is
    how long a node may take for each answer. ``eds_dir`` (or a ``library``) is searched for a node's identity;
    the bundled files always are. ``clock`` is for simulated buses: a `ManualClock` makes them as fast as
    the computer.

    Raises BadInterface, AdapterNotFound, MissingDependency, UnknownDictionary, DictionaryFileError.
    """
    if clock is None:
        clock = RealClock(interface.now if isinstance(interface, SimBus) else None)
    port, bit_rate = _open(interface, clock, listen_only)
    return Network(
        port,
        clock,
        dictionaries=dictionaries,
        library=library or Library(eds_dir),
        timeout_s=timeout_s,
        bit_rate=bit_rate,
    )


def _open(interface: str | can.BusABC | SimBus, clock: Clock, listen_only: bool) -> tuple[Port, int | None]:
    if isinstance(interface, SimBus):
        return SimPort(SimWorld(interface, clock), "sim", listen_only), interface.bit_rate
    if not isinstance(interface, str):
        return CanPort(interface, str(getattr(interface, "channel_info", "") or "bus"), clock.now, True), None
    parsed = parse_interface(interface)
    if parsed.adapter == "sim":
        from opendiag.adapters.ports import running_simulator

        found = None if parsed.channel or not clock.runs else running_simulator()
        if found is None:
            world = simulated_world(parsed, clock)
            return SimPort(world, str(parsed), listen_only), world.bus.bit_rate
        parsed = found
    from opendiag.adapters.open import actual_bit_rate

    return open_port(parsed, clock, listen_only), actual_bit_rate(parsed)


def open_port(parsed: Interface, clock: Clock, listen_only: bool = False) -> CanPort:
    """A port through python-can. Raise BadInterface, AdapterNotFound, MissingDependency."""
    from opendiag.adapters.open import interface_notes, open_bus

    if not clock.runs:
        raise BadInterface(str(parsed), "a clock of your own is for simulated buses")
    port = CanPort(open_bus(parsed, listen_only=listen_only), str(parsed), clock.now)
    port.listen_only = listen_only
    port.notes = interface_notes(parsed, listen_only=listen_only)
    return port


def simulated_world(parsed: Interface, clock: Clock, *, faults: Sequence[Fault] = (), seed: int = 0) -> SimWorld:
    """A bus with the devices that the interface names ("stepim", "stepim,axis.eds=5"); a StepIM when it names none."""
    bus = SimBus(parsed.bit_rate or DEFAULT_BIT_RATE, faults=faults, seed=seed, start=clock.now())
    world = SimWorld(bus, clock)
    for device in sim_devices(parsed) or (SimDevice("stepim"),):
        attach(world, make_device(device.name, device.node_id, seed=seed), str(parsed))
    bus.attach(Witness(), "witness")
    return world


def attach(world: SimWorld, device: SimNode, interface: str = "sim") -> None:
    """Put a device on the bus. Raise BadInterface when its node-ID is taken."""
    if device.node_id in world.devices:
        raise BadInterface(interface, f"two devices with node-ID {device.node_id}: say which, as in stepim=5")
    with world.lock:
        world.devices[device.node_id] = device
        world.bus.attach(device, f"node {device.node_id}")
