"""The CAN interfaces of Linux (SocketCAN): which there are, whether they are up, and with which bit rate."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SYS_NET = Path("/sys/class/net")
#: ARPHRD_CAN and IFF_UP of the kernel.
_TYPE_CAN = "280"
_UP = 0x1
_IP_TIMEOUT_S = 2.0
#: linux/can/raw.h
_SOL_CAN_RAW = 101
_CAN_RAW_RECV_OWN_MSGS = 4


@dataclass(frozen=True)
class CanLink:
    """``state`` in the kernel's words ("ERROR-ACTIVE", "BUS-OFF", ...), "" where it does not say.

    ``bit_rate`` in bit/s, None where it cannot be read. ``virtual``: there is no controller behind it.
    """

    name: str
    up: bool
    state: str = ""
    bit_rate: int | None = None
    listen_only: bool = False
    virtual: bool = False
    driver: str = ""


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
    if not name or "/" in name or _read(path / "type") != _TYPE_CAN:
        return None
    try:
        up = bool(int(_read(path / "flags"), 16) & _UP)
    except ValueError:
        up = False
    details = _details(name)
    info = details.get("linkinfo", {})
    data = info.get("info_data", {})
    return CanLink(
        name,
        up,
        str(data.get("state", "")),
        data.get("bittiming", {}).get("bitrate"),
        "LISTEN-ONLY" in data.get("ctrlmode", ()),
        info.get("info_kind", name.rstrip("0123456789")) in ("vcan", "vxcan"),
        _driver(path),
    )


def set_up_command(name: str, bit_rate: int | None, listen_only: bool = False, up: bool = False) -> str:
    """What a user types to have the interface up with that rate; ``up``: it is now, and has to go down first."""
    down = f"sudo ip link set {name} down; " if up else ""
    mode = " listen-only on" if listen_only else ""
    return f"{down}sudo ip link set {name} up type can bitrate {bit_rate or 500_000}{mode}"


def _details(name: str) -> dict[str, Any]:
    """What ``ip`` says about the interface; nothing where it is not installed or an old one."""
    command = ["ip", "-json", "-details", "link", "show", "dev", name]
    try:
        run = subprocess.run(command, capture_output=True, timeout=_IP_TIMEOUT_S, check=True)
        first = json.loads(run.stdout)[0]
    except (OSError, subprocess.SubprocessError, ValueError, LookupError):
        return {}
    return first if isinstance(first, dict) else {}


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
