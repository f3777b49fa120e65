"""The USB identities of adapters, and the udev rules that make them usable on Linux. Nothing here looks at a device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Identity = tuple[int, int]

#: (vendor, product) of adapters that speak gs_usb.
GS_USB: Mapping[Identity, str] = {
    (0x1D50, 0x606F): "candleLight, CANable or CANtact",
    (0x1D50, 0x6070): "CANtact Pro",
    (0x1209, 0x2323): "candleLight",
    (0x1209, 0xCA01): "CANnectivity",
    (0x1CD2, 0x606F): "CES CANext FD",
    (0x16D0, 0x10B8): "ABE CANdebugger FD",
    (0x16D0, 0x0F30): "Xylanta SAINT3",
}
#: Boot loaders of such adapters: STM32's, CANnectivity's.
BOOT_LOADERS: frozenset[Identity] = frozenset({(0x0483, 0xDF11), (0x1209, 0xCA02)})


@dataclass(frozen=True)
class SerialId:
    """``adapter`` is what to write before the channel. ``common``: many things that are no adapters have this chip.

    ``modem``: it looks like a modem, which ModemManager tries to talk to.
    """

    adapter: str
    description: str
    common: bool = False
    modem: bool = False


#: (vendor, product) of adapters that are serial ports.
SERIAL: Mapping[Identity, SerialId] = {
    (0x1A86, 0x7523): SerialId("usbcan", "CH340 serial chip, as in the USB-CAN Analyzer", common=True),
    (0x0403, 0x6001): SerialId("usbcan", "FT232 serial chip, as in some USB-CAN Analyzers", common=True),
    (0xAD50, 0x60C4): SerialId("slcan", "CANtact or CANable with SLCAN firmware", modem=True),
    (0x16D0, 0x117E): SerialId("slcan", "CANable 2 with SLCAN firmware", modem=True),
}
#: Which the braille service brltty takes for a braille display.
BRLTTY: Identity = (0x1A86, 0x7523)

#: systemd gives access to the user at the computer in 73-seat-late.rules: ours have to come before.
RULES_FILE = "/etc/udev/rules.d/70-opendiag.rules"
INSTALL = (
    f"opendiag udev | sudo tee {RULES_FILE}",
    "sudo udevadm control --reload; sudo udevadm trigger",
)

_HEAD = f"""\
# USB-CAN adapters for whoever is logged in at this computer. To be written to {RULES_FILE},
# because it must come before 73-seat-late.rules. Over the network, the group dialout has access.
"""
_BRLTTY = """\
# Where the braille service brltty is installed (Ubuntu 22.04), it takes every CH340 for a braille display, and the port
# vanishes. No rule here can undo that: sudo apt remove brltty, or
# sudo ln -s /dev/null /etc/udev/rules.d/85-brltty.rules
"""
_MODEM = 'ENV{ID_MM_DEVICE_IGNORE}="1", ENV{ID_MM_PORT_IGNORE}="1"'
_ACCESS = 'MODE="0660", GROUP="dialout", TAG+="uaccess"'


def rules() -> str:
    """The whole file."""
    parts = [_HEAD, "# gs_usb: access to the USB device."]
    for identity, what in GS_USB.items():
        match = _match("ATTR", identity)
        parts.append(f'# {what}\nSUBSYSTEM=="usb", ENV{{DEVTYPE}}=="usb_device", {match}, {_ACCESS}')
    parts.append("\n# Serial ports: access, and ModemManager does not write into them when they are plugged in.")
    for identity, serial in SERIAL.items():
        match = _match("ATTRS", identity)
        ignore = f", {_MODEM}" if serial.modem else ""
        lines = [f"# {serial.description}", f'SUBSYSTEM=="tty", {match}, TAG+="uaccess"{ignore}']
        if serial.modem:
            device = _match("ATTR", identity)
            lines.append(f'SUBSYSTEM=="usb", ENV{{DEVTYPE}}=="usb_device", {device}, {_MODEM}')
        parts.append("\n".join(lines))
    parts.append(f"\n{_BRLTTY}")
    return "\n".join(parts)


def _match(attribute: str, identity: Identity) -> str:
    vendor, product = identity
    return f'{attribute}{{idVendor}}=="{vendor:04x}", {attribute}{{idProduct}}=="{product:04x}"'
