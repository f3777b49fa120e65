"""Our drivers under programs that know nothing of opendiag: python-can's tools and the `canopen` package."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time

import can
import canopen
import pytest
from canopen import objectdictionary as od
from emulators.bench_gs_usb import CandleLightBench, CantactProBench
from emulators.bench_slcan import LawicelBench, SlcanBench
from emulators.bench_usbcan import UsbCanBench
from emulators.bus_model import BusModel
from emulators.machine_tap import MachineTap
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from opendiag import connect
from opendiag.frame import Frame
from opendiag.simulate.devices import make_device

OURS = ["opendiag_gs_usb", "opendiag_usbcan", "opendiag_slcan"]
ON_A_PORT = [UsbCanBench, LawicelBench]
ALL = [*ON_A_PORT, CandleLightBench, CantactProBench]
DEVICE_TYPE = 0x0002_0192
named = {"ids": lambda bench_class: bench_class.name}


@pytest.fixture
def model():
    return BusModel()


@pytest.fixture
def bench(model, bench_class, tmp_path):
    bench = bench_class(model, tmp_path)
    yield bench
    bench.close()


class Program:
    """A subprocess whose lines can be waited for."""

    def __init__(self, *command):
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        self.lines, self._queue = [], queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self._queue.put(line)
        self._queue.put(None)

    def wait_for(self, text, timeout_s=20.0):
        until = time.monotonic() + timeout_s
        while True:
            try:
                line = self._queue.get(timeout=max(until - time.monotonic(), 0))
            except queue.Empty:
                raise AssertionError(f"no {text!r} within {timeout_s} s in:\n{''.join(self.lines)}") from None
            assert line is not None, f"it ended without {text!r}:\n{''.join(self.lines)}"
            self.lines.append(line)
            if text in line:
                return line

    def interrupt(self):
        """As Ctrl-C does. The exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(10)

    def close(self):
        self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        self.process.stdout.close()


@pytest.fixture
def program():
    programs = []

    def start(*command):
        programs.append(Program(*command))
        return programs[-1]

    yield start
    for each in programs:
        each.close()


# --- python-can's own programs


@pytest.mark.parametrize("bench_class", ON_A_PORT, **named)
def test_can_logger_shows_frames_of_our_adapter(model, bench, program):
    peer, _ = model.listener()
    logger = program("-m", "can.logger", "-i", bench.interface, "-c", bench.channel, "-b", "500000")
    logger.wait_for("Can Logger")
    peer.send(Frame(0x123, bytes.fromhex("1122334455667788")))
    peer.send(Frame(0x1ABCDEF0, b"\x55", extended=True))
    assert "11 22 33 44 55 66 77 88" in logger.wait_for("123")
    line = logger.wait_for("1abcdef0")
    stamp = float(line.split()[1])
    assert abs(stamp - time.time()) < 30, "not the time of day"
    assert logger.interrupt() == 0


@pytest.mark.parametrize("bench_class", ON_A_PORT, **named)
def test_can_logger_writes_a_file(model, bench, program, tmp_path):
    peer, _ = model.listener()
    file = tmp_path / "frames.log"
    logger = program("-m", "can.logger", "-i", bench.interface, "-c", bench.channel, "-b", "500000", "-f", str(file))
    logger.wait_for("Can Logger")
    for number in range(100):
        peer.send(Frame(number, b"\xaa\x55"))
    time.sleep(0.5)
    logger.interrupt()
    lines = file.read_text().splitlines()
    assert [line.split()[2] for line in lines] == [f"{number:03X}#AA55" for number in range(100)]


@pytest.mark.parametrize("bench_class", ON_A_PORT, **named)
def test_can_player_sends_through_our_adapter(model, bench, program, tmp_path):
    _, heard = model.listener()
    log = tmp_path / "frames.log"
    log.write_text("".join(f"({1.0 + number / 1000:.6f}) can0 {number:03X}#0102\n" for number in range(30)))
    player = program("-m", "can.player", "-i", bench.interface, "-c", bench.channel, "-b", "500000", str(log))
    assert player.process.wait(20) == 0, "".join(iter(player._queue.get, None))
    assert [(frame.can_id, frame.data) for frame in heard] == [(number, b"\x01\x02") for number in range(30)]


@pytest.mark.parametrize("bench_class", ON_A_PORT, **named)
def test_a_wrong_option_is_an_error_of_the_program(model, bench, program):
    command = ["-m", "can.logger", "-i", bench.interface, "-c", bench.channel, "-b", "500000"]
    logger = program(*command, "--bus-kwargs", "nonsense=1")
    logger.wait_for("nonsense")
    assert logger.process.wait(10) != 0


# --- the canopen package


def dictionary():
    made = od.ObjectDictionary()
    for index, name, data_type in ((0x1000, "device type", od.UNSIGNED32), (0x1008, "name", od.VISIBLE_STRING)):
        variable = od.ODVariable(name, index, 0)
        variable.data_type, variable.access_type = data_type, "ro"
        made.add_object(variable)
    return made


@pytest.fixture
def switch_on(model):
    """A StepIM on the bus, from now on: an Analyzer that has no bit rate yet would destroy its frames."""
    taps = []

    def switch_on():
        machine = make_device("stepim")
        taps.append(MachineTap(model, machine))
        return machine.node_id

    yield switch_on
    for tap in taps:
        tap.close()


@pytest.mark.interop
@pytest.mark.parametrize("bench_class", ALL, **named)
def test_canopen_reads_objects_through_our_adapter(model, bench, switch_on):
    network = canopen.Network()
    network.NOTIFIER_CYCLE = 0.05
    network.connect(interface=bench.interface, channel=bench.channel, **{"bitrate": 500_000, **bench.extra})
    try:
        node = network.add_node(switch_on(), dictionary())
        node.sdo.RESPONSE_TIMEOUT = 2.0
        assert node.sdo[0x1000].raw == DEVICE_TYPE
        name = node.sdo[0x1008].raw
        assert isinstance(name, str)
        assert len(name) > 4, "a segmented transfer"
    finally:
        network.disconnect()


@pytest.mark.parametrize("bench_class", ALL, **named)
def test_opendiag_reads_the_same_through_a_bus_that_is_handed_in(model, bench, switch_on):
    with bench.open() as bus, connect(bus, timeout_s=2.0) as network:
        node = network[switch_on()]
        assert int.from_bytes(node.upload(0x1000), "little") == DEVICE_TYPE
        assert node.upload(0x1008).decode()


# --- what is plugged in


def test_available_configurations_name_the_ports_of_our_adapters(monkeypatch):
    def port(device, vendor, product):
        info = ListPortInfo(device)
        info.vid, info.pid = vendor, product
        return info

    ports = [port("/dev/ttyACM7", 0xAD50, 0x60C4), port("/dev/ttyUSB3", 0x1A86, 0x7523), port("/dev/ttyS0", None, None)]
    monkeypatch.setattr(list_ports, "comports", lambda *_: ports)
    found = can.detect_available_configs(interfaces=OURS)
    channels = {(config["interface"], config["channel"]) for config in found}
    assert ("opendiag_slcan", "/dev/ttyACM7") in channels
    assert ("opendiag_usbcan", "/dev/ttyUSB3") in channels
    assert not [config for config in found if config["channel"] == "/dev/ttyS0"]
    json.dumps(found)


def test_available_configurations_open_and_send_nothing(model, tmp_path, monkeypatch):
    bench = SlcanBench(model, tmp_path)
    try:
        info = ListPortInfo(bench.channel)
        info.vid, info.pid = 0xAD50, 0x60C4
        monkeypatch.setattr(list_ports, "comports", lambda *_: [info])
        got = []
        monkeypatch.setattr(bench.device, "receive", got.append)
        assert {"interface": "opendiag_slcan", "channel": bench.channel}.items() <= max(
            can.detect_available_configs(interfaces=["opendiag_slcan"]), key=len
        ).items()
        time.sleep(0.1)
        assert got == []
    finally:
        bench.close()


def test_asking_for_available_configurations_never_fails():
    assert isinstance(can.detect_available_configs(interfaces=OURS), list)
