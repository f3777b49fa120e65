"""`opendiag ports`, `udev` and `adapter`, with emulated adapters plugged in."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest
from emulators.bench_usbcan import UsbCanBench
from emulators.bus_model import BusModel
from emulators.gs_usb_device import GsUsbDevice
from emulators.usb_backend import FakeBackend

from opendiag.adapters import gs_usb_find, ports, serial_ports
from opendiag.adapters.ports import PortInfo


@pytest.fixture(autouse=True)
def _no_interface(monkeypatch):
    monkeypatch.delenv("OPENDIAG_INTERFACE", raising=False)


@pytest.fixture
def pro(monkeypatch, tmp_path):
    """A CANtact Pro is plugged in, and nothing else."""
    device = GsUsbDevice(BusModel(), "pro")
    backend = FakeBackend()
    backend.plug(device, (2, 3))
    monkeypatch.setattr(gs_usb_find, "usb_backend", lambda: backend)
    monkeypatch.setattr(gs_usb_find, "SYS_USB", tmp_path)
    monkeypatch.setattr(serial_ports, "SYS_USB", tmp_path)
    for source in ("socketcan_ports", "vendor_ports", "serial_ports"):
        nothing = lambda: iter(())  # noqa: E731
        nothing.__name__ = source
        monkeypatch.setattr(ports, source, nothing)
    monkeypatch.setattr(ports, "running_simulator", lambda host, port: None)
    return device


def test_ports_lists_both_channels(run, pro):
    outcome = run("ports")
    assert (outcome.code, outcome.err) == (0, "")
    heading, first, second, simulated = outcome.out.splitlines()
    assert heading.startswith("-i ")
    assert first.split()[:3] == ["cantact:/1-2.3", "yes", "LinkLayer"]
    assert second.split()[0] == "cantact:/1-2.3/1"
    assert "channel 1 of 2, 24 MHz, CAN FD" in second
    assert simulated.startswith("sim:stepim")


def test_ports_as_json(run, pro):
    lines = [json.loads(line) for line in run("ports", "--json").out.splitlines()]
    assert [line["uri"] for line in lines] == ["cantact:/1-2.3", "cantact:/1-2.3/1", "sim:stepim"]
    assert (lines[0]["channels"], lines[0]["clock_hz"], lines[0]["serial"]) == (2, 24_000_000, "")


def test_ports_says_what_is_missing_and_the_line_that_helps(run, monkeypatch):
    listed = [
        PortInfo("slcan:/dev/ttyACM0", "CANtact", "USB ad50:60c4", False, "no permission", "sudo usermod x"),
        PortInfo("", "USB adapters", "not looked for", False, "libusb is not installed", "pip install libusb-package"),
    ]
    monkeypatch.setattr("opendiag.cli.ports_command.list_ports", lambda everything: listed)
    outcome = run("ports")
    assert len(outcome.out.splitlines()) == 2
    assert outcome.err.splitlines() == [
        "slcan:/dev/ttyACM0: no permission",
        "    sudo usermod x",
        "USB adapters, not looked for: libusb is not installed",
        "    pip install libusb-package",
    ]


def test_udev_prints_the_file_on_stdout_and_the_rest_on_stderr(run):
    outcome = run("udev")
    assert outcome.code == 0
    assert all(not line or line[0] in "#S" for line in outcome.out.splitlines())
    assert 'ATTR{idVendor}=="1d50"' in outcome.out
    assert "sudo tee /etc/udev/rules.d/70-opendiag.rules" in outcome.err
    assert run("udev", "-q").err == ""


# --- adapter


def test_info(run, pro):
    outcome = run("adapter", "info", "-i", "cantact:0/1")
    assert (outcome.code, outcome.err) == (0, "")
    assert "channel        1 of 2" in outcome.out
    assert json.loads(run("adapter", "info", "-i", "cantact:0", "--json").out)["clock"] == "24 MHz"


def test_identify_ends_blinking_at_the_end(run, pro):
    outcome = run("adapter", "identify", "-i", "cantact:0", "--for", "20ms")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == "CANtact Pro at USB 1-2.3 blinks for 0.02 s.\n"
    blinks = [data for _, request, _, _, data in pro.log if request == 7]
    assert blinks == [b"\1\0\0\0", b"\0\0\0\0"]


def test_identify_until_ctrl_c(run, pro, monkeypatch):
    def interrupted(seconds):
        assert pro.channels[0].identifying
        raise KeyboardInterrupt

    monkeypatch.setattr("opendiag.cli.adapter_command.time", SimpleNamespace(sleep=interrupted, monotonic=lambda: 0.0))
    assert run("adapter", "identify", "-i", "cantact:0").code == 0
    assert not pro.channels[0].identifying


def test_termination(run, monkeypatch, pro):
    outcome = run("adapter", "termination", "on", "-i", "cantact:0")
    assert (outcome.code, outcome.out) == (3, "")
    assert "CANtact Pro at USB 1-2.3 cannot switch its termination" in outcome.err
    device = GsUsbDevice(BusModel(), "candlelight_fd")
    backend = FakeBackend([device])
    monkeypatch.setattr(gs_usb_find, "usb_backend", lambda: backend)
    for arguments, shown in (((), "off"), (("on",), "on"), ((), "on"), (("off",), "off")):
        outcome = run("adapter", "termination", *arguments, "-i", "candlelight:0")
        assert (outcome.code, outcome.out) == (0, f"{shown}\n")
    assert not device.channels[0].termination


def test_clear_filter_wants_a_yes(run, tmp_path):
    bench = UsbCanBench(BusModel(), tmp_path)
    bench.device.stored.allow = frozenset({5})
    where = f"usbcan:{bench.channel}"
    try:
        outcome = run("adapter", "clear-filter", "-i", where)
        assert (outcome.code, outcome.out) == (2, "")
        assert "--yes" in outcome.err
        assert bench.device.stored.allow
        outcome = run("adapter", "clear-filter", "-i", where, "--yes")
        assert (outcome.code, outcome.out) == (0, "")
        assert not bench.device.stored.allow
    finally:
        bench.close()


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("info",), 2, "which adapter?"),
        (("info", "-i", "nonsense:1"), 2, "there is no adapter"),
        (("info", "-i", "sim"), 3, "a simulated bus has no adapter"),
        (("identify", "-i", "pcan:X@500k"), 3, "cannot blink"),
        (("termination", "-i", "slcan:/dev/x"), 3, "cannot switch a resistor"),
        (("termination", "maybe", "-i", "gs_usb:0"), 2, "maybe"),
        (("clear-filter", "-i", "socketcan:can0", "-y"), 3, "stores no filter"),
        (("info", "-i", "gs_usb:7"), 3, "there is no gs_usb adapter number 7"),
    ],
)
@pytest.mark.usefixtures("pro")
def test_what_cannot_be_done_is_a_sentence(run, arguments, code, word):
    outcome = run("adapter", *arguments)
    assert (outcome.code, outcome.out) == (code, "")
    assert word in outcome.err
    assert "Traceback" not in outcome.err


def test_shell_completion_knows_the_new_commands(monkeypatch):
    from opendiag.cli import COMMANDS, app

    names = [item.value for item in app.shell_complete(app.make_context("opendiag", [], resilient_parsing=True), "")]
    assert {"adapter", "gen", "replay", "sniff", "udev"} <= set(names) & set(COMMANDS)


def test_udev_starts_without_python_can_and_pyusb():
    import subprocess

    code = (
        "import sys; from opendiag.cli import main; main(['udev', '-q']); "
        "sys.exit([m for m in ('can', 'usb', 'rich', 'serial') if m in sys.modules] or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
