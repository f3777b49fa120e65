"""`opendiag sim`: simulated devices, on a bus or for other programs."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import click

from opendiag.adapters.uri import SIM_PORT, parse_interface
from opendiag.cli import live, output
from opendiag.cli.options import node_id
from opendiag.errors import BadInterface
from opendiag.master.clock import RealClock
from opendiag.master.connect import DEFAULT_BIT_RATE, open_port, simulated_world
from opendiag.master.device_runner import DeviceRunner
from opendiag.master.serve import BusServer
from opendiag.master.served_sim import ServedSim
from opendiag.simulate.devices import make_device
from opendiag.simulate.faults import Fault
from opendiag.simulate.node import SimNode

_ADDRESS = re.compile(r"(?:(?P<host>.*):)?(?P<port>[0-9]+)")
_LOOPBACK = "127.0.0.1"
_MAX_PORT = 0xFFFF


@click.command(short_help="Simulate devices, on a bus or for other programs.")
@click.argument("devices", nargs=-1, metavar="[DEVICE[=NODE]]...")
@click.option(
    "-i",
    "--interface",
    envvar="OPENDIAG_INTERFACE",
    metavar="ADAPTER:CHANNEL@BITRATE",
    help="Put the devices on this bus. OPENDIAG_INTERFACE counts as well, unless --serve is given.",
)
@click.option("--node", metavar="N", help="Node-ID of the device, where there is one only.")
@click.option(
    "--serve",
    is_flag=False,
    flag_value=f"{_LOOPBACK}:{SIM_PORT}",
    metavar="[HOST:PORT]",
    help=f"Offer a simulated bus to other programs (socketcand protocol), at {_LOOPBACK}:{SIM_PORT} unless said; so it "
    "is without -i.",
)
@click.option("--bit-rate", default="1M", show_default=True, metavar="RATE", help="Of the bus that --serve offers.")
@click.option("--faults", type=click.Path(path_type=Path), metavar="FILE", help="Faults of that bus, as JSON.")
@click.option("--seed", type=int, default=0, metavar="N", help="Of everything random in devices and faults.")
@click.option("--for", "seconds", metavar="TIME", callback=live.seconds, help="End after this time, as in 10s.")
def command(
    devices: tuple[str, ...],
    interface: str | None,
    node: str | None,
    serve: str | None,
    bit_rate: str,
    faults: Path | None,
    seed: int,
    seconds: float | None,
) -> None:
    """Simulate DEVICEs until Ctrl-C. Transmits what such devices transmit.

    DEVICE is stepim (the default) or an EDS file; =NODE gives it a node-ID. With -i they are on that bus. Otherwise
    they are on a simulated bus of their own that any number of programs share: opendiag finds it as -i sim, and
    python-can as its interface socketcand.
    """
    if serve is not None and _ADDRESS.fullmatch(serve) is None:  # --serve DEVICE
        devices, serve = (serve, *devices), f"{_LOOPBACK}:{SIM_PORT}"
    if serve is None and interface is None:
        serve = f"{_LOOPBACK}:{SIM_PORT}"
    if (
        serve is not None
        and interface is not None
        and click.get_current_context().get_parameter_source("interface") is not click.core.ParameterSource.ENVIRONMENT
    ):
        raise click.UsageError("-i and --serve are two ways: take one")
    names = _named(devices or ("stepim",), node)
    if serve is None:
        if faults is not None:
            raise click.UsageError("--faults are of a simulated bus: use it with --serve")
        _on_bus(names, str(interface), seed, seconds)
    else:
        _served(names, serve, bit_rate, _faults(faults), seed, seconds)


def _named(devices: tuple[str, ...], node: str | None) -> tuple[str, ...]:
    if node is None:
        return devices
    if len(devices) != 1 or "=" in devices[0]:
        raise click.UsageError("--node is for a single device: write stepim=101 axis.eds=5 for several")
    return (f"{devices[0]}={node_id(node)}",)


def _faults(file: Path | None) -> list[Fault]:
    """Raises click.BadParameter."""
    if file is None:
        return []
    try:
        listed = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise click.BadParameter(f"{file} is no JSON: {error}") from None
    if not isinstance(listed, list):
        raise click.BadParameter(f'{file}: expected a list of faults, such as [{{"action": "drop", "nth": 3}}]')
    try:
        return [Fault.from_dict(item) for item in listed]
    except (ValueError, TypeError) as error:
        raise click.BadParameter(f"{file}: {error}") from None


def _on_bus(names: tuple[str, ...], interface: str, seed: int, seconds: float | None) -> None:
    made = [_device(name, seed) for name in names]
    numbers = [device.node_id for device in made]
    if twice := [number for number in numbers if numbers.count(number) > 1]:
        raise click.UsageError(f"two devices with node-ID {twice[0]}: say which, as in stepim=5")
    clock = RealClock()
    parsed = parse_interface(interface)
    if parsed.adapter == "sim":
        raise BadInterface(interface, "this is a simulated bus already: use --serve")
    port = open_port(parsed, clock)
    live.tell_notes(port)
    runner = DeviceRunner(port, clock, made)
    output.note(f"{_listed(made)} on {port.name}. Ctrl-C ends it.")
    try:
        runner.run(None if seconds is None else clock.now() + seconds)
    except KeyboardInterrupt:
        pass
    finally:
        port.close()
    lost = f", {runner.not_sent} not sent" if runner.not_sent else ""
    output.note(f"{_frames(runner.received)} received, {runner.sent} sent{lost}.")


def _device(text: str, seed: int) -> SimNode:
    name, _, number = text.partition("=")
    return make_device(name, node_id(number) if number else None, seed=seed)


def _served(
    names: tuple[str, ...], serve: str, bit_rate: str, faults: list[Fault], seed: int, seconds: float | None
) -> None:
    found = _ADDRESS.fullmatch(serve)
    host, port = (found["host"] or _LOOPBACK, int(found["port"])) if found is not None else (_LOOPBACK, SIM_PORT)
    parsed = parse_interface(f"sim:{','.join(names)}@{bit_rate}")
    world = simulated_world(parsed, RealClock(), faults=faults, seed=seed)
    if port > _MAX_PORT:
        raise click.UsageError(f"--serve: {port} is no TCP port: expected 0 to {_MAX_PORT}")
    with BusServer(lambda name: ServedSim(world, name), host=host, port=port) as server:
        rate = (parsed.bit_rate or DEFAULT_BIT_RATE) / 1e6
        output.note(f"{_listed(list(world.devices.values()))} on a simulated bus of {rate:g} Mbit/s.")
        where = (
            "sim"
            if (host, server.address[1]) == (_LOOPBACK, SIM_PORT)
            else f"socketcand:{host}:{server.address[1]}/sim"
        )
        output.note(f"Use it with -i {where}, in any number of programs. Ctrl-C ends it.")
        end = None if seconds is None else time.monotonic() + seconds
        try:
            while end is None or time.monotonic() < end:
                time.sleep(0.05)
                with world.lock:
                    world.advance()
        except KeyboardInterrupt:
            pass
    counters = world.bus.statistics()
    output.note(f"{_frames(counters.frames)}, {_frames(counters.error_frames, 'error ')} on the bus.")


def _frames(count: int, kind: str = "") -> str:
    return f"{count} {kind}frame{'s' * (count != 1)}"


def _listed(devices: list[SimNode]) -> str:
    return ", ".join(f"{device.name} as node {device.node_id}" for device in devices)
