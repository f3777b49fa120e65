"""`connect`: from the name of an interface to a network on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from opendiag.adapters.uri import Interface, SimDevice, parse_interface, sim_devices
from opendiag.dictionary.library import Library
from opendiag.errors import BadInterface
from opendiag.master.clock import Clock, RealClock
from opendiag.master.network import Dictionaries, Network, loaded
from opendiag.master.port import CanPort, Port
from opendiag.master.sim_port import SimPort, SimWorld
from opendiag.simulate.bus import SimBus
from opendiag.simulate.devices import Witness, make_device
from opendiag.simulate.faults import Fault
from opendiag.simulate.node import SimNode

if TYPE_CHECKING:
    import can

DEFAULT_BIT_RATE = 1_000_000
#: By the id of the bus, which its world keeps alive.
_WORLDS: WeakValueDictionary[int, SimWorld] = WeakValueDictionary()


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

    Raises BadInterface, AdapterNotFound, MissingDependency, UnknownDictionary, DictionaryFileError, and ValueError for
    a time-out that is not positive and for node-IDs outside 1..127.
    """
    if not timeout_s > 0:
        raise ValueError(f"a time-out of {timeout_s} s is not positive")
    known = {node_id: loaded(node_id, given) for node_id, given in (dictionaries or {}).items()}
    library = library or Library(eds_dir)
    if isinstance(interface, SimBus):
        world = _world_of(interface, clock)
        port: Port = SimPort(world, "sim", listen_only)
        return Network(port, world.clock, known, library, timeout_s, interface.bit_rate)
    clock = clock or RealClock()
    port, bit_rate = _open(interface, clock, listen_only)
    return Network(port, clock, known, library, timeout_s, bit_rate)


def _world_of(bus: SimBus, clock: Clock | None) -> SimWorld:
    """The one world of a bus: several networks on it share its clock."""
    world = _WORLDS.get(id(bus))
    if world is None:
        world = _WORLDS[id(bus)] = SimWorld(bus, clock or RealClock(bus.now))
    elif clock not in (None, world.clock):
        raise BadInterface("sim", "another network on this simulated bus has another clock")
    return world


def _open(interface: str | can.BusABC, clock: Clock, listen_only: bool) -> tuple[Port, int | None]:
    if not isinstance(interface, str):
        name = str(getattr(interface, "channel_info", "") or "bus")
        _check_clock(name, clock)
        return CanPort(interface, name, clock.now, borrowed=True, listen_only=listen_only), None
    parsed = parse_interface(interface)
    if parsed.adapter == "sim":
        from opendiag.adapters.ports import running_simulator

        if parsed.options:
            raise BadInterface(interface, f"a simulated bus has no option {', '.join(parsed.options)}")
        plain = not (parsed.channel or parsed.bit_rate) and clock.runs
        found = running_simulator() if plain else None
        if found is None:
            world = simulated_world(parsed, clock)
            return SimPort(world, str(parsed), listen_only), world.bus.bit_rate
        parsed = found
    from opendiag.adapters.open import actual_bit_rate

    return open_port(parsed, clock, listen_only), actual_bit_rate(parsed)


def open_port(parsed: Interface, clock: Clock, listen_only: bool = False) -> CanPort:
    """A port through python-can. Raise BadInterface, AdapterNotFound, MissingDependency."""
    from opendiag.adapters.open import interface_notes, open_bus

    _check_clock(str(parsed), clock)
    port = CanPort(open_bus(parsed, listen_only=listen_only), str(parsed), clock.now, listen_only=listen_only)
    port.notes += interface_notes(parsed, listen_only=listen_only)
    return port


def _check_clock(name: str, clock: Clock) -> None:
    if not clock.runs:
        raise BadInterface(name, "a clock of your own is for simulated buses")


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
