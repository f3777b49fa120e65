"""What gs_usb adapters say about themselves, and how they differ: identity, limits, descriptors, habits."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

LISTEN_ONLY, LOOP_BACK, TRIPLE_SAMPLE, ONE_SHOT = 1 << 0, 1 << 1, 1 << 2, 1 << 3
HW_TIMESTAMP, IDENTIFY, USER_ID, PAD = 1 << 4, 1 << 5, 1 << 6, 1 << 7
FD, BT_CONST_EXT, TERMINATION, BERR = 1 << 8, 1 << 10, 1 << 11, 1 << 12
GET_STATE, FILTER, TDC, BUS_OFF_RECOVERY = 1 << 13, 1 << 16, 1 << 17, 1 << 18
MODE_FLAGS = (
    LISTEN_ONLY | LOOP_BACK | TRIPLE_SAMPLE | ONE_SHOT | HW_TIMESTAMP | PAD | FD | BERR | TDC | BUS_OFF_RECOVERY
)

#: tseg1 min, max; tseg2 min, max; sjw max; brp min, max, increment
BXCAN = (1, 16, 1, 8, 4, 1, 1024, 1)
MCAN = (1, 256, 1, 128, 128, 1, 512, 1)
MCAN_DATA = (1, 32, 1, 16, 16, 1, 32, 1)

FULL_SPEED, HIGH_SPEED = 2, 3


@dataclass(frozen=True)
class Kind:
    """``errors`` is who hears of errors: "state" (changes of state), "always" (bus errors too), "on request" (bus
    errors when the host asked for them), "none". ``buffer`` counts frames for the host. ``pool`` counts frames from
    the host that wait for one of the ``mailboxes``; while it is full the OUT endpoint takes nothing. Of CANnectivity's
    two OUT endpoints older firmware serves the second only: ``idle_endpoints`` never take anything.
    """

    vendor: int = 0x1D50
    product: int = 0x606F
    release: int = 0x0000
    maker: str = "bytewerk"
    name: str = "candleLight USB to CAN adapter"
    serial: str = "001D00395642500E20363439"
    sw_version: int = 2
    hw_version: int = 1
    channels: int = 1
    feature: int = LISTEN_ONLY | LOOP_BACK | ONE_SHOT | HW_TIMESTAMP | IDENTIFY | PAD
    clock: int = 48_000_000
    limits: tuple[int, ...] = BXCAN
    data_limits: tuple[int, ...] | None = None
    packet: int = 32
    speed: int = FULL_SPEED
    power: int = 75
    interface_class: tuple[int, int, int] = (0xFF, 0xFF, 0xFF)
    out_endpoints: tuple[int, ...] = (0x02,)
    idle_endpoints: tuple[int, ...] = ()
    dfu: bool = True
    data_timing_request: int = 10
    errors: str = "always"
    buffer: int = 64
    pool: int = 64
    mailboxes: int = 3

    def device_descriptor(self) -> bytes:
        usb, serial = 0x0200, 3 if self.serial else 0
        numbers = (self.vendor, self.product, self.release)
        return struct.pack("<BBHBBBBHHHBBBB", 18, 1, usb, 0, 0, 0, 64, *numbers, 1, 2, serial, 1)

    def configuration_descriptor(self) -> bytes:
        endpoints = [0x81, *self.out_endpoints]
        body = struct.pack("<9B", 9, 4, 0, 0, len(endpoints), *self.interface_class, 0)
        for address in endpoints:
            body += struct.pack("<BBBBHB", 7, 5, address, 2, self.packet, 0)
        if self.dfu:
            body += struct.pack("<9B", 9, 4, 1, 0, 0, 0xFE, 1, 1, 0) + struct.pack(
                "<BBBHHH", 9, 0x21, 11, 255, 2048, 0x011A
            )
        return struct.pack("<BBHBBBBB", 9, 2, 9 + len(body), 1 + self.dfu, 1, 0, 0x80, self.power) + body

    def string_descriptor(self, index: int) -> bytes | None:
        if index == 0:
            return b"\x04\x03\x09\x04"
        texts = ("", self.maker, self.name, self.serial)
        if index >= len(texts) or not texts[index]:
            return None
        text = texts[index].encode("utf-16-le")
        return bytes([len(text) + 2, 3]) + text

    def descriptor(self, which: int, index: int) -> bytes | None:
        """None: the device has none, and answers STALL."""
        if which == 1:
            return self.device_descriptor()
        if which == 2 and index == 0:
            return self.configuration_descriptor()
        return self.string_descriptor(index) if which == 3 else None


_NEW = LISTEN_ONLY | LOOP_BACK | ONE_SHOT | HW_TIMESTAMP | IDENTIFY | PAD | TERMINATION | BERR | GET_STATE
_FD: dict[str, Any] = {
    "feature": _NEW | FD | BT_CONST_EXT,
    "clock": 40_000_000,
    "limits": MCAN,
    "data_limits": MCAN_DATA,
    "packet": 64,
    "errors": "on request",
}

KINDS: dict[str, Kind] = {
    "candlelight": Kind(),
    "candlelight_fd": Kind(**_FD),
    "cantact": Kind(
        maker="cantact.io", name="cantact gs_usb", feature=LISTEN_ONLY | LOOP_BACK | ONE_SHOT | HW_TIMESTAMP
    ),
    "canable": Kind(maker="canable.io", name="canable gs_usb"),
    "budgetcan": Kind(maker="budgetcan", name="budgetcan gs_usb", channels=2, **_FD),
    "pro": Kind(
        release=0x0101,
        maker="LinkLayer Labs",
        name="CANtact Pro",
        serial="",
        channels=2,
        feature=LISTEN_ONLY | LOOP_BACK | IDENTIFY | FD,
        clock=24_000_000,
        packet=512,
        speed=HIGH_SPEED,
        power=0x32,
        dfu=False,
        data_timing_request=8,
        errors="none",
        buffer=1000,
        mailboxes=16,
    ),
    "cannectivity": Kind(
        vendor=0x1209,
        product=0xCA01,
        maker="CANnectivity",
        name="CANnectivity USB to CAN adapter",
        serial="0123456789ABCDEF",
        channels=2,
        feature=LISTEN_ONLY | LOOP_BACK | HW_TIMESTAMP | IDENTIFY | FD | BT_CONST_EXT | TERMINATION | GET_STATE,
        clock=80_000_000,
        limits=MCAN,
        data_limits=MCAN_DATA,
        packet=512,
        speed=HIGH_SPEED,
        interface_class=(0xFF, 0x00, 0x00),
        out_endpoints=(0x01, 0x02),
        idle_endpoints=(0x01,),
        errors="state",
    ),
    "ces": Kind(vendor=0x1CD2, product=0x606F, maker="CES", name="CANext FD", **_FD),
    "abe": Kind(vendor=0x16D0, product=0x10B8, maker="ABE", name="CANdebugger FD", **_FD),
    "xylanta": Kind(vendor=0x16D0, product=0x0F30, maker="Xylanta", name="SAINT3", **_FD),
}
