"""CAN interfaces of Linux: what is read of them, and that nothing is needed to read it."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from opendiag.adapters import linux_can
from opendiag.adapters.linux_can import CanLink, restart_command, set_up_command, up_command

DETAILS: dict[str, Any] = {
    "txqlen": 10,
    "parentdev": "1-1.3:1.0",
    "linkinfo": {
        "info_kind": "can",
        "info_data": {
            "state": "ERROR-WARNING",
            "ctrlmode": ["LISTEN-ONLY", "FD"],
            "restart_ms": 100,
            "bittiming": {"bitrate": 500_000, "sample_point": "0.875"},
            "data_bittiming": {"bitrate": 2_000_000, "sample_point": "0.750"},
            "berr_counter": {"tx": 97, "rx": 3},
            "clock": 80_000_000,
            "termination": 120,
        },
        "info_xstats": {"bus_off": 2, "restarts": 1},
    },
    "stats64": {"rx": {"dropped": 5}, "tx": {"dropped": 6}},
}


@pytest.fixture
def interface(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """can0, which is up."""
    path = tmp_path / "can0"
    path.mkdir()
    (path / "type").write_text("280\n")
    (path / "flags").write_text("0x40081\n")
    monkeypatch.setattr(linux_can, "SYS_NET", tmp_path)
    monkeypatch.setattr(linux_can, "_details", lambda name: DETAILS)
    return path


def test_everything_that_the_kernel_tells(interface: Path) -> None:
    assert linux_can.can_link("can0") == CanLink(
        "can0",
        up=True,
        state="ERROR-WARNING",
        bit_rate=500_000,
        listen_only=True,
        virtual=False,
        driver="",
        data_bit_rate=2_000_000,
        sample_point=0.875,
        clock_hz=80_000_000,
        tx_errors=97,
        rx_errors=3,
        modes=("LISTEN-ONLY", "FD"),
        restart_ms=100,
        tx_queue=10,
        termination_ohm=120,
        device="1-1.3:1.0",
        counted={"bus_off": 2, "restarts": 1, "rx_dropped": 5, "tx_dropped": 6},
    )


@pytest.mark.parametrize(
    ("state", "bus_state"),
    [
        ("ERROR-ACTIVE", "error-active"),
        ("ERROR-WARNING", "error-warning"),
        ("ERROR-PASSIVE", "error-passive"),
        ("BUS-OFF", "bus-off"),
        ("STOPPED", None),
        ("SLEEPING", None),
        ("", None),
    ],
)
def test_states_in_the_words_of_all_adapters(state: str, bus_state: str | None) -> None:
    assert CanLink("can0", True, state).bus_state == bus_state


def test_an_interface_without_a_bit_rate_has_none(interface: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"bittiming": {"bitrate": 0, "sample_point": "0.000"}}
    monkeypatch.setattr(linux_can, "_details", lambda name: {"linkinfo": {"info_kind": "can", "info_data": data}})
    link = linux_can.can_link("can0")
    assert link is not None and link.bit_rate is link.sample_point is None


class Netlink:
    """In place of a socket to the kernel."""

    failure: Exception | None = None
    answer = b""

    def __init__(self, *of: int) -> None:
        pass

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def settimeout(self, seconds: float) -> None:
        assert seconds > 0

    def send(self, data: bytes) -> None:
        if self.failure:
            raise self.failure

    def recv(self, size: int) -> bytes:
        return self.answer


@pytest.mark.parametrize("failure", [PermissionError(1, "no"), TimeoutError("late"), None])
def test_a_kernel_that_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception | None) -> None:
    monkeypatch.setattr(Netlink, "failure", failure)
    monkeypatch.setattr(socket, "socket", Netlink)
    monkeypatch.setattr(socket, "AF_NETLINK", 16, raising=False)
    for name in ("can0", "vcan3"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "type").write_text("280\n")
        (tmp_path / name / "flags").write_text("0x40080\n")
    assert linux_can.can_links(tmp_path) == [CanLink("can0", up=False), CanLink("vcan3", up=False, virtual=True)]


def test_a_system_without_netlink(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_NETLINK", raising=False)
    assert linux_can._details("can0") == {}


@pytest.mark.skipif(not hasattr(socket, "AF_NETLINK"), reason="there is no netlink on this system")
def test_the_kernel_of_this_computer_answers() -> None:
    assert linux_can._details("lo").get("ifname", "lo") == "lo"
    assert linux_can._details("nosuchlink") == linux_can._details("bad\udcffname") == {}


def test_lines_to_type() -> None:
    assert set_up_command("can0", None) == "sudo ip link set can0 up type can bitrate 500000"
    assert set_up_command("can0", 250_000, True, up=True) == (
        "sudo ip link set can0 down; sudo ip link set can0 up type can bitrate 250000 listen-only on"
    )
    assert up_command(CanLink("can1", False, bit_rate=125_000)) == "sudo ip link set can1 up type can bitrate 125000"
    assert up_command(CanLink("vcan1", False, virtual=True)) == "sudo ip link set vcan1 up"
    assert restart_command(CanLink("can1", True)) == "sudo ip link set can1 down; sudo ip link set can1 up"
