"""The USB/IP server, by its protocol: a host is a TCP connection here. Real kernels meet it in test_gs_usb_lab.py."""

import socket
import struct
import time

import pytest
from emulators.bus_model import BusModel
from emulators.gs_usb_device import GsUsbDevice
from emulators.usbip_server import Peer, UsbIpServer

SUBMIT, UNLINK = 1, 2


class Host:
    def __init__(self, port):
        self.tcp = socket.create_connection(("127.0.0.1", port), 5)
        self.incoming = set()

    def read(self, length):
        data = b""
        while len(data) < length:
            more = self.tcp.recv(length - len(data))
            assert more, "the server hung up"
            data += more
        return data

    def attach(self, busid):
        self.tcp.sendall(struct.pack(">HHI32s", 0x0111, 0x8003, 0, busid.encode()))
        version, code, status = struct.unpack(">HHI", self.read(8))
        assert (version, code) == (0x0111, 3)
        return status or self.read(312)

    def submit(self, number, endpoint, *, read=0, data=b"", setup=bytes(8)):
        if read:
            self.incoming.add(number)
        header = struct.pack(">5I", SUBMIT, number, 0x10002, bool(read), endpoint)
        self.tcp.sendall(header + struct.pack(">5I", 0, read or len(data), 0, 0, 0) + setup + data)

    def unlink(self, number, victim):
        self.tcp.sendall(struct.pack(">6I24x", UNLINK, number, 0x10002, 0, 0, victim))

    def control(self, number, request_type, request, value, *, read=0, data=b""):
        setup = struct.pack("<BBHHH", request_type, request, value, 0, read or len(data))
        self.submit(number, 0, read=read, data=data, setup=setup)
        return self.answer()

    def answer(self):
        """command, number, status, actual length or the data"""
        header = self.read(48)
        command, number = struct.unpack_from(">2I", header)
        status, length = struct.unpack_from(">iI", header, 20)
        return command, number, status, self.read(length) if number in self.incoming else length


@pytest.fixture
def rig():
    model = BusModel()
    devices = {"1-1": GsUsbDevice(model, "pro"), "1-2": GsUsbDevice(model, "candlelight_fd")}
    server = UsbIpServer(devices, port=0)
    hosts = []

    def host():
        hosts.append(Host(server.port))
        return hosts[-1]

    yield model, devices, server, host
    for one in hosts:
        one.tcp.close()
    server.close()


def test_the_list_of_devices(rig):
    host = rig[3]()
    host.tcp.sendall(struct.pack(">HHI", 0x0111, 0x8005, 0))
    assert struct.unpack(">HHII", host.read(12)) == (0x0111, 5, 0, 2)
    first = host.read(312 + 4)
    assert first[256:260] == b"1-1\0"
    assert struct.unpack_from(">3I3H6B", first, 288) == (1, 2, 3, 0x1D50, 0x606F, 0x0101, 0, 0, 0, 1, 1, 1)
    assert first[312:] == b"\xff\xff\xff\0"
    second = host.read(312 + 8)
    assert second[256:260] == b"1-2\0"
    assert second[312:] == b"\xff\xff\xff\0\xfe\x01\x01\0"
    assert host.tcp.recv(1) == b""


def test_attaching_an_unknown_or_taken_device_is_refused(rig):
    host = rig[3]
    assert host().attach("9-9") == 1
    assert len(host().attach("1-1")) == 312
    assert host().attach("1-1") == 1


def test_control_requests_stalls_and_descriptors(rig):
    host = rig[3]()
    host.attach("1-2")
    assert host.control(1, 0x80, 6, 0x0100, read=64)[3][8:12].hex() == "501d6f60"
    assert host.control(2, 0x80, 6, 0x0600, read=10)[2:] == (-32, b"")
    assert host.control(3, 0xC1, 5, 1, read=12)[3].hex() == "000000000200000001000000"
    assert host.control(4, 0x41, 0, 1, data=b"\xef\xbe\0\0") == (3, 4, 0, 4)
    assert host.control(5, 0xC1, 4, 7, read=40)[2] == -32


def test_frames_out_and_in_and_unlinking_what_still_waits(rig):
    model, devices, _, host = rig
    peer = Peer(model)
    host = host()
    host.attach("1-1")
    host.control(1, 0x41, 1, 0, data=struct.pack("<5I", 6, 7, 2, 1, 3))
    host.control(2, 0x41, 2, 0, data=struct.pack("<2I", 1, 0))
    for number in (10, 11, 12):
        host.submit(number, 1, read=512)
    host.submit(13, 2, data=struct.pack("<IIBBBB8sB", 0, 0x123, 1, 0, 0, 0, b"\x55", 0))
    got = [host.answer(), host.answer(), host.answer()]
    answers = {number: data for _, number, _, data in got if number != 13}
    assert sorted(data[4:8].hex() for data in answers.values()) == ["23010000", "24010000"]
    assert [frame.can_id for frame in peer.heard] == [0x123]
    host.unlink(20, 12)
    assert host.answer()[:3] == (4, 20, -104)
    host.unlink(21, 10)
    assert host.answer()[:3] == (4, 21, 0)
    assert devices["1-1"].complaints == []


def test_a_lost_host_stops_the_channels(rig):
    _, devices, _, connect = rig
    host = connect()
    host.attach("1-1")
    host.control(1, 0x41, 1, 0, data=struct.pack("<5I", 6, 7, 2, 1, 3))
    host.control(2, 0x41, 2, 0, data=struct.pack("<2I", 1, 0))
    channel = devices["1-1"].channels[0]
    assert channel.started
    host.tcp.close()
    deadline = time.monotonic() + 2
    while channel.started and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not channel.started


def test_a_pulled_plug_ends_the_connection(rig):
    _, devices, server, connect = rig
    host = connect()
    host.attach("1-1")
    host.control(1, 0x41, 1, 0, data=struct.pack("<5I", 6, 7, 2, 1, 3))
    host.control(2, 0x41, 2, 0, data=struct.pack("<2I", 1, 0))
    assert devices["1-1"].channels[0].started
    server.unplug("1-1")
    assert host.tcp.recv(1) == b""
    assert not devices["1-1"].channels[0].started
    assert connect().attach("1-1") == 1
