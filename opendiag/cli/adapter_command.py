"""`opendiag adapter`: one adapter, asked and told what has nothing to do with frames."""

from __future__ import annotations

import contextlib
import sys
import time

import click

from opendiag.adapters.uri import Interface, parse_interface
from opendiag.cli import live, output


@click.group(short_help="Ask an adapter about itself, let it blink, switch its resistor.")
def command() -> None:
    """Ask an adapter about itself, let it blink, switch its resistor. Nothing is sent on the bus."""


def _adapter(context: click.Context, parameter: click.Parameter, text: str | None) -> Interface:
    if text is None:
        raise click.UsageError("which adapter? -i names one, and `opendiag ports` lists what is here")
    return parse_interface(text)


_which = click.option(
    "-i",
    "--interface",
    envvar="OPENDIAG_INTERFACE",
    metavar="ADAPTER:CHANNEL",
    callback=_adapter,
    help="The adapter, as in cantact:/1-2.3/1, slcan:/dev/ttyACM0 or socketcan:can0; `opendiag ports` lists them.",
)


@command.command(short_help="Say everything the adapter tells of itself.")
@_which
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def info(interface: Interface, as_json: bool) -> None:
    """Say everything the adapter tells of itself: firmware, clock, bit rates, what it can and cannot do, its state.

    A serial adapter (usbcan, slcan) must not be in use by another program.
    """
    from opendiag.adapters.device_facts import facts

    found = facts(interface)
    printer = output.Printer()
    if as_json:
        printer.json({"interface": str(interface), **found})
        return
    width = max(map(len, found))
    for name, text in found.items():
        printer.hanging(f"{name.ljust(width)}  ", text)


@command.command(short_help="Let the adapter's lights blink.")
@_which
@click.option("--for", "seconds", metavar="TIME", callback=live.seconds, help="So long, as in 10s. [default: Ctrl-C]")
def identify(interface: Interface, seconds: float | None) -> None:
    """Let the adapter's lights blink until Ctrl-C, to find it among others."""
    from opendiag.adapters import device_facts

    name = device_facts.identify(interface, True)
    output.note(f"{name} blinks{'. Ctrl-C ends it.' if seconds is None else f' for {seconds:g} s.'}")
    until = None if seconds is None else time.monotonic() + seconds
    try:
        with contextlib.suppress(KeyboardInterrupt):
            while until is None or (rest := until - time.monotonic()) > 0:
                time.sleep(1.0 if until is None else min(rest, 1.0))
    finally:
        device_facts.identify(interface, False)


@command.command(short_help="Say whether the 120 ohm resistor is on, or switch it.")
@_which
@click.argument("state", required=False, type=click.Choice(["on", "off"]), metavar="[on|off]")
def termination(interface: Interface, state: str | None) -> None:
    """Say whether the 120 ohm resistor of a channel is on, or switch it.

    A bus has two of them, one at each end.
    """
    from opendiag.adapters import device_facts

    is_on = device_facts.termination(interface, None if state is None else state == "on")
    click.echo("on" if is_on else "off")


@command.command("clear-filter", short_help="Remove the filter stored in a USB-CAN Analyzer.")
@_which
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def clear_filter(interface: Interface, yes: bool) -> None:
    """Remove the filter stored in a USB-CAN Analyzer, for when it receives nothing although its light blinks.

    It writes into the adapter's memory; there is no way to read what was there.
    """
    from opendiag.adapters import device_facts

    if interface.adapter == "usbcan" and not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("this changes what the adapter has stored: add --yes")
        click.confirm(f"Remove the filter stored in the adapter at {interface.channel}?", abort=True, err=True)
    device_facts.clear_filter(interface)
    output.note(f"{interface}: no filter is stored any more.")
