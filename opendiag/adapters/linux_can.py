"""The CAN interfaces of Linux (SocketCAN): which there are, whether they are up, at which bit rate, how they fare.

Nothing here needs privileges or the program ``ip``.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opendiag.adapters.rtnetlink_codec import NoAnswer, link_request, read_link

SYS_NET = Path("/sys/class/net")
#: ARPHRD_CAN and IFF_UP of the kernel.
_TYPE_CAN = "280"
_UP = 0x1
_NETLINK_S = 1.0
_NETLINK_BYTES = 65536
#: linux/can/raw.h
_SOL_CAN_RAW = 101
_CAN_RAW_RECV_OWN_MSGS = 4
#: linux/can.h: sizeof(struct canfd_frame). Interfaces for CAN XL have more, and carry CAN FD too.
_FD_MTU = 72


@dataclass(frozen=True)
class CanLink:
    """``state`` in the kernel's words ("ERROR-ACTIVE", "BUS-OFF", ...), "" where it does not say.

    ``bit_rate`` and ``data_bit_rate`` in bit/s, ``clock_hz``, ``sample_point`` as 0.875, ``tx_errors`` and
    ``rx_errors`` of the controller: None where they cannot be read. ``virtual``: there is no controller behind it.
    ``modes`` are the controller's, as "LOOPBACK". ``restart_ms`` after bus-off; 0: never by itself. ``tx_queue`` is how
    many frames may wait. ``counted`` since the interface exists, by the kernel's names: bus_error, bus_off, restarts,
    rx_dropped, ... ``device`` is where it is plugged in, as "1-1.3:1.0" on USB. ``mtu`` in bytes.
    """

    name: str
    up: bool
    state: str = ""
    bit_rate: int | None = None
    listen_only: bool = False
    virtual: bool = False
    driver: str = ""
    data_bit_rate: int | None = None
    sample_point: float | None = None
    clock_hz: int | None = None
    tx_errors: int | None = None
    rx_errors: int | None = None
    modes: tuple[str, ...] = ()
    restart_ms: int = 0
    tx_queue: int | None = None
    termination_ohm: int | None = None
    device: str = ""
    counted: Mapping[str, int] = field(default_factory=dict, hash=False)
    mtu: int | None = None

    @property
    def fd(self) -> bool | None:
        """Does it carry CAN FD frames? None where the kernel does not say."""
        return None if self.mtu is None else self.mtu >= _FD_MTU

    @property
    def bus_state(self) -> str | None:
        """As in "error-active", "error-warning", "error-passive", "bus-off"; None where it is none of them."""
        state = self.state.lower()
        return state if state.startswith("error-") or state == "bus-off" else None


def can_links(sys_net: Path | None = None) -> list[CanLink]:
    """Every CAN interface, those that are down too; none where there is no Linux."""
    try:
        found = sorted(path.name for path in (sys_net or SYS_NET).iterdir() if _read(path / "type") == _TYPE_CAN)
    except OSError:
        return []
    return [link for name in found if (link := can_link(name, sys_net))]


def can_link(name: str, sys_net: Path | None = None) -> CanLink | None:
    """None when there is no CAN interface of that name."""
    path = (sys_net or SYS_NET) / name
    if not name or "/" in name:
        return None
    # While an interface goes away, the kernel answers this when it is gone.
    details = _details(name)
    if _read(path / "type") != _TYPE_CAN:
        return None
    try:
        up = bool(int(_read(path / "flags"), 16) & _UP)
    except ValueError:
        up = False
    info = details.get("linkinfo", {})
    data = info.get("info_data", {})
    modes = tuple(data.get("ctrlmode", ()))
    timing = data.get("bittiming", {})
    errors = data.get("berr_counter", {})
    return CanLink(
        name,
        up,
        str(data.get("state", "")),
        timing.get("bitrate") or None,
        "LISTEN-ONLY" in modes,
        info.get("info_kind", name.rstrip("0123456789")) in ("vcan", "vxcan"),
        _driver(path),
        data.get("data_bittiming", {}).get("bitrate") or None,
        float(timing.get("sample_point", 0)) or None,
        data.get("clock"),
        errors.get("tx"),
        errors.get("rx"),
        modes,
        data.get("restart_ms", 0),
        details.get("txqlen"),
        data.get("termination"),
        str(details.get("parentdev", "")),
        _counted(details),
        details.get("mtu"),
    )


def set_up_command(name: str, bit_rate: int | None, listen_only: bool = False, up: bool = False) -> str:
    """What a user types to have the interface up with that rate; ``up``: it is now, and has to go down first."""
    down = f"sudo ip link set {name} down; " if up else ""
    mode = " listen-only on" if listen_only else ""
    return f"{down}sudo ip link set {name} up type can bitrate {bit_rate or 500_000}{mode}"


def up_command(link: CanLink) -> str:
    """What a user types to have an interface up that is down now."""
    return f"sudo ip link set {link.name} up" if link.virtual else set_up_command(link.name, link.bit_rate)


def fd_command(link: CanLink) -> str:
    """What a user types to have CAN FD on an interface that is up without it."""
    down = f"sudo ip link set {link.name} down; "
    if link.virtual:
        return f"{down}sudo ip link set {link.name} mtu {_FD_MTU}; sudo ip link set {link.name} up"
    return f"{set_up_command(link.name, link.bit_rate, link.listen_only, up=True)} dbitrate 2000000 fd on"


def restart_command(link: CanLink) -> str:
    """What a user types to have an interface back that is bus-off; not every driver can restart by itself."""
    return f"sudo ip link set {link.name} down; sudo ip link set {link.name} up"


def _details(name: str) -> dict[str, Any]:
    """As ``ip -json -details -statistics link show`` has them; nothing where the kernel does not say."""
    family = getattr(socket, "AF_NETLINK", None)
    if family is None:
        return {}
    try:
        with socket.socket(family, socket.SOCK_RAW, 0) as asked:
            asked.settimeout(_NETLINK_S)
            asked.send(link_request(name, 1))
            return read_link(asked.recv(_NETLINK_BYTES))
    except (OSError, NoAnswer, UnicodeError):
        return {}


def _counted(details: Mapping[str, Any]) -> dict[str, int]:
    counted = dict(details.get("linkinfo", {}).get("info_xstats", {}))
    for way, numbers in details.get("stats64", {}).items():
        counted |= {f"{way}_{what}": number for what, number in numbers.items()}
    return counted


def _driver(path: Path) -> str:
    try:
        return (path / "device" / "driver").readlink().name
    except OSError:
        return ""


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace").strip()
    except OSError:
        return ""


def delivers_own_frames(bus: object) -> bool:
    """May this python-can bus deliver frames that it sent itself?

    SocketCAN marks whatever was sent on this computer, by whichever program, as not received. So on its buses the mark
    means an own frame only where own frames are asked for.
    """
    if not type(bus).__module__.startswith("can.interfaces.socketcan."):
        return True
    try:
        return bool(bus.socket.getsockopt(_SOL_CAN_RAW, _CAN_RAW_RECV_OWN_MSGS))  # type: ignore[attr-defined]
    except (AttributeError, OSError):
        return True
