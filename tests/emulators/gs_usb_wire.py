"""gs_usb on the wire, as the device sees it: requests, host frames, error classes. Shares nothing with the driver."""

from __future__ import annotations

import struct

from opendiag.frame import FD_LENGTHS, Frame

HOST_FORMAT, BITTIMING, MODE, BERR, BT_CONST, DEVICE_CONFIG, TIMESTAMP, IDENTIFY = range(8)
GET_USER_ID, SET_USER_ID, DATA_BITTIMING, BT_CONST_EXT, SET_TERMINATION, GET_TERMINATION, GET_STATE = range(8, 15)
SET_FILTER, GET_FILTER, GET_TDC_CONST, SET_TDC, GET_TDC, BUS_OFF_RECOVERY = 15, 16, 17, 18, 19, 32

FROM_BUS = 0xFFFFFFFF
EFF, RTR, ERR = 1 << 31, 1 << 30, 1 << 29
OVERFLOW, FD, BRS, ESI = 1, 2, 4, 8
CRTL, PROT, ACK, BUSOFF, BUSERROR, RESTARTED, CNT = 0x4, 0x8, 0x20, 0x40, 0x80, 0x100, 0x200
#: echo_id, can_id, length code, channel, flags, reserved
HEADER = struct.Struct("<IIBBBB")


def pack_host_frame(frame: Frame, channel: int, echo_id: int = FROM_BUS, flags: int = 0) -> bytes:
    """20 or 76 bytes, without a timestamp."""
    can_id = frame.can_id | frame.extended * EFF | frame.remote * RTR | frame.error * ERR
    flags |= frame.fd * FD | frame.brs * BRS | frame.esi * ESI
    header = HEADER.pack(echo_id, can_id, frame.dlc, channel, flags, 0)
    return header + frame.data.ljust(64 if frame.fd else 8, b"\0")


def unpack_out_frame(can_id: int, dlc: int, flags: int, body: bytes) -> Frame:
    """What the host wants on the bus. Raise ValueError for what no bus carries."""
    extended, remote = bool(can_id & EFF), bool(can_id & RTR)
    if can_id & ERR or dlc > 15:
        raise ValueError(f"can_id {can_id:#x}, length code {dlc}")
    number = can_id & 0x1FFFFFFF
    if flags & FD:
        data = body[: FD_LENGTHS[dlc]]
        return Frame(number, data, extended=extended, fd=True, brs=bool(flags & BRS), esi=bool(flags & ESI), dlc=dlc)
    if remote:
        return Frame(number, extended=extended, remote=True, dlc=dlc)
    return Frame(number, body[: min(dlc, 8)], extended=extended, dlc=dlc)
