"""USB/IP: emulated gs_usb adapters for a real kernel, which binds its own driver or gives them to libusb.

    python tests/emulators/usbip_server.py --kind pro --peer
    usbip attach -r 127.0.0.1 -b 1-1

The message layouts are those of the kernel's Documentation/usb/usbip_protocol.rst.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import socket
import struct
import sys
import threading
from collections import OrderedDict
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from emulators.bus_model import BusModel
from emulators.gs_usb_device import Gone, GsUsbDevice, Overflow, Stall
from emulators.gs_usb_kinds import KINDS

from opendiag.frame import MAX_EXTENDED_ID, MAX_STANDARD_ID, Frame

VERSION = 0x0111
SUBMIT, UNLINK, RET_SUBMIT, RET_UNLINK = 1, 2, 3, 4


class UsbIpServer:
    """``devices`` by bus identifier, as in {"1-1": device}. Listens on the loopback until `close`."""

    def __init__(self, devices: dict[str, GsUsbDevice], port: int = 3240) -> None:
        self.devices = devices
        self.attached: dict[str, Attachment] = {}
        self._listening = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listening.getsockname()[1]
        self._sessions: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._serve, name="usbip", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(2)
        for connection in list(self._sessions):
            _hang_up(connection)

    def unplug(self, busid: str) -> None:
        """Pull the plug: the host loses the connection, and the device its power."""
        self.devices[busid].unplug()
        if busid in self.attached:
            _hang_up(self.attached[busid].connection)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sessions.add(connection)
            threading.Thread(target=self._session, args=(connection,), name="usbip session", daemon=True).start()

    def _session(self, connection: socket.socket) -> None:
        try:
            with connection:
                _, code, _ = struct.unpack(">HHI", _read(connection, 8))
                if code == 0x8005:
                    records = b"".join(self._record(busid, interfaces=True) for busid in self.devices)
                    connection.sendall(struct.pack(">HHII", VERSION, 0x0005, 0, len(self.devices)) + records)
                elif code == 0x8003:
                    self._import(connection, _read(connection, 32).rstrip(b"\0").decode())
        except (EOFError, OSError):
            pass  # the host went away
        finally:
            self._sessions.discard(connection)

    def _import(self, connection: socket.socket, busid: str) -> None:
        device = self.devices.get(busid)
        if device is None or busid in self.attached or not device.pipe.plugged:
            connection.sendall(struct.pack(">HHI", VERSION, 0x0003, 1))
            return
        connection.sendall(struct.pack(">HHI", VERSION, 0x0003, 0) + self._record(busid))
        attachment = self.attached[busid] = Attachment(connection, device)
        try:
            attachment.run()
        finally:
            del self.attached[busid]
            attachment.close()

    def _record(self, busid: str, interfaces: bool = False) -> bytes:
        kind = self.devices[busid].kind
        number = list(self.devices).index(busid) + 1
        path = f"/sys/devices/opendiag/{busid}".encode()
        record = struct.pack(
            ">256s32s3I3H6B",
            *(path, busid.encode(), 1, number + 1, kind.speed),
            *(kind.vendor, kind.product, kind.release, 0, 0, 0, 1, 1, 1 + kind.dfu),
        )
        if interfaces:
            record += bytes([*kind.interface_class, 0]) + (b"\xfe\x01\x01\x00" if kind.dfu else b"")
        return record


class Attachment:
    """The URBs of one host. An IN URB waits until the device has data, an OUT URB until it takes some (NAK)."""

    def __init__(self, connection: socket.socket, device: GsUsbDevice) -> None:
        self.connection = connection
        self.device = device
        self._in: OrderedDict[int, int] = OrderedDict()
        self._out: OrderedDict[int, bytes] = OrderedDict()
        self._never: dict[int, bytes] = {}
        self._work = threading.Condition()
        self._woken = False
        self._closed = False
        device.pipe.on_ready = self._wake
        self._pump = threading.Thread(target=self._pump_all, name="usbip transfers", daemon=True)

    def run(self) -> None:
        """Until the host hangs up. Raise EOFError or OSError."""
        self._pump.start()
        while True:
            header = _read(self.connection, 48)
            command, number, _, incoming, endpoint = struct.unpack_from(">5I", header)
            if command == UNLINK:
                self._unlink(number, struct.unpack_from(">I", header, 20)[0])
                continue
            length = struct.unpack_from(">I", header, 24)[0]
            data = b"" if incoming or not length else _read(self.connection, length)
            if endpoint == 0:
                self._control(number, header[40:48], data)
            else:
                with self._work:
                    if incoming:
                        self._in[number] = length
                    elif endpoint in self.device.kind.idle_endpoints:
                        self._never[number] = data
                    else:
                        self._out[number] = data
                self._wake()

    def close(self) -> None:
        """The host is gone: for the device this is like being pulled out and put in again."""
        self.device.pipe.on_ready = lambda: None
        with self._work:
            self._closed = True
            self._work.notify()
        self._pump.join(2)
        self.device.power_cycle()

    def _wake(self) -> None:
        with self._work:
            self._woken = True
            self._work.notify()

    def _control(self, number: int, setup: bytes, data: bytes) -> None:
        request_type, request, value, index, length = struct.unpack("<BBHHH", setup)
        incoming = bool(request_type & 0x80)
        try:
            answer = self.device.control(request_type, request, value, index, length if incoming else data)
        except Stall:
            self._complete(number, -errno.EPIPE)
        except Gone:
            self._complete(number, -errno.ENODEV)
        else:
            self._complete(number, 0, answer, None if incoming else len(data))

    def _unlink(self, number: int, victim: int) -> None:
        with self._work:
            waited = any(pile.pop(victim, None) is not None for pile in (self._in, self._out, self._never))
            status = -errno.ECONNRESET if waited else 0
            self.connection.sendall(struct.pack(">5Ii24x", RET_UNLINK, number, 0, 0, 0, status))

    def _complete(self, number: int, status: int, data: bytes = b"", actual: int | None = None) -> None:
        """``actual`` is for OUT, where no data goes back."""
        length = len(data) if actual is None else actual
        with self._work:
            self.connection.sendall(
                struct.pack(">5Ii5I4x", RET_SUBMIT, number, 0, 0, 0, status, length, 0, 0, 0, 0) + data
            )

    def _pump_all(self) -> None:
        try:
            while True:
                with self._work:
                    while not self._woken and not self._closed:
                        self._work.wait()
                    if self._closed:
                        return
                    self._woken = False
                self._pump_out()
                self._pump_in()
        except (OSError, Gone):
            _hang_up(self.connection)

    def _pump_out(self) -> None:
        """The emulator may call `_wake` meanwhile, so it runs without the lock."""
        while True:
            with self._work:
                if not self._out:
                    return
                number, data = next(iter(self._out.items()))
            if not self.device.bulk_out(data):
                return
            with self._work:
                still_wanted = self._out.pop(number, None) is not None
            if still_wanted:
                self._complete(number, 0, actual=len(data))

    def _pump_in(self) -> None:
        while True:
            with self._work:
                if not self._in:
                    return
                number, length = next(iter(self._in.items()))
                try:
                    data, status = self.device.pop_in(length, partial=False), 0
                except Overflow:
                    data, status = b"", -errno.EOVERFLOW
                if data is None:
                    return
                del self._in[number]
                self._complete(number, status, data)


class Peer:
    """Somebody else on the bus: answers each frame with one whose identifier is one higher."""

    def __init__(self, model: BusModel, bit_rate: int = 500_000) -> None:
        self.heard: list[Frame] = []
        self.tap = model.attach("peer", self._on_frame, bit_rate=bit_rate)
        model.start(self.tap)

    def _on_frame(self, frame: Frame) -> None:
        self.heard.append(frame)
        limit = MAX_EXTENDED_ID if frame.extended else MAX_STANDARD_ID
        number = (frame.can_id + 1) & limit
        if not frame.remote:
            answer = Frame(number, frame.data, extended=frame.extended, fd=frame.fd, brs=frame.brs)
            self.tap.send(answer)


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # closed already
        connection.shutdown(socket.SHUT_RDWR)


def _read(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def main() -> None:
    parser = argparse.ArgumentParser(description="Emulated gs_usb adapters over USB/IP, at 1-1, 1-2, ...")
    parser.add_argument("--kind", action="append", choices=sorted(KINDS), help="may be given several times")
    parser.add_argument("--port", type=int, default=3240)
    parser.add_argument("--peer", action="store_true", help="somebody answers each frame with its identifier plus 1")
    parser.add_argument("--bitrate", type=int, default=500_000, help="of the peer, bit/s")
    arguments = parser.parse_args()
    model = BusModel()
    devices = {}
    for number, kind in enumerate(arguments.kind or ["candlelight"], 1):
        devices[f"1-{number}"] = GsUsbDevice(model, kind, label=f"1-{number}")
    if arguments.peer:
        Peer(model, arguments.bitrate)
    server = UsbIpServer(devices, arguments.port)
    for busid, device in devices.items():
        sys.stderr.write(f"{busid}: {device.kind.maker} {device.kind.name}, {device.kind.channels} channel(s)\n")
    sys.stderr.write(f"listening; attach with: usbip attach -r 127.0.0.1 -b {next(iter(devices))}\n")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        server.close()


if __name__ == "__main__":
    main()
