"""How many bits a classic CAN frame has on the wire, and which: stuff bits, CRC, and the order of arbitration.

From start of frame to the end of the CRC sequence a bit of the other value follows every five equal bits (ISO
11898-1). The CRC delimiter, the acknowledge slot and its delimiter and the seven bits of end of frame are not stuffed.
"""

from __future__ import annotations

from functools import lru_cache

from opendiag.frame import Frame

#: Recessive bits between two frames. Not part of `frame_bits`.
INTERMISSION_BITS = 3
#: CRC delimiter, acknowledge slot, acknowledge delimiter, end of frame.
_TAIL_BITS = 1 + 1 + 1 + 7
_CRC_BITS = 15
_CRC_POLYNOMIAL = 0x4599
_CRC_MASK = 0x7FFF


def frame_bits(frame: Frame) -> int:
    """Bits from start of frame to end of frame, stuff bits counted, without the intermission.

    Raise ValueError for a CAN FD frame and for an error frame.
    """
    if frame.fd or frame.error:
        raise _no_classic_frame(frame)
    return _count(frame.can_id, frame.extended, frame.remote, frame.dlc, frame.data)


def frame_crc(frame: Frame) -> int:
    """The 15 bits of the CRC sequence. Raise ValueError as `frame_bits` does."""
    if frame.fd or frame.error:
        raise _no_classic_frame(frame)
    crc = _header(frame.can_id, frame.extended, frame.remote, frame.dlc)[0]
    for byte in frame.data:
        crc = _CRC_TABLE[crc >> 7 ^ byte] ^ (crc << 8 & _CRC_MASK)
    return crc


def wire_bits(frame: Frame) -> str:
    """Every bit as "0" (dominant) or "1", acknowledged, from start of frame to end of frame.

    Much slower than `frame_bits`, which gives the length of this text. Raise ValueError as `frame_bits` does.
    """
    crc = frame_crc(frame)
    header, length = _header_bits(frame.can_id, frame.extended, frame.remote, frame.dlc)
    plain = f"{header:0{length}b}" + "".join(f"{byte:08b}" for byte in frame.data) + f"{crc:0{_CRC_BITS}b}"
    stuffed: list[str] = []
    last, run = "", 0
    for bit in plain:
        run = run + 1 if bit == last else 1
        last = bit
        stuffed.append(bit)
        if run == 5:
            last, run = "0" if bit == "1" else "1", 1
            stuffed.append(last)
    return "".join(stuffed) + "101" + "1" * 7


def arbitration_key(frame: Frame) -> int:
    """The arbitration field as a number: the lowest one wins the bus.

    An 11-bit frame beats a 29-bit one with the same first 11 bits, and a data frame beats a remote frame.
    """
    if not frame.extended:
        return frame.can_id << 21 | frame.remote << 20
    return frame.can_id >> 18 << 21 | 0b11 << 19 | (frame.can_id & 0x3FFFF) << 1 | frame.remote


def arbitration_bits(frame: Frame) -> int:
    """Bits up to the end of the arbitration field, start of frame counted, stuff bits not."""
    return 33 if frame.extended else 13


def _no_classic_frame(frame: Frame) -> ValueError:
    kind = "an error frame" if frame.error else "a CAN FD frame"
    return ValueError(f"{kind} has no bits here: only classic data and remote frames are counted")


# --- counting: a table of what each byte does to the stuffing, and one for the CRC ----------------------------------
#
# The stuffing state is the last bit and how often it came in a row (1..4; the fifth is followed by its opposite at
# once): value * 4 + run - 1. States are kept shifted left by 8, ready to be joined with the next byte.


def _stuff(state: int, value: int, length: int) -> int:
    """Send ``length`` bits: the state afterwards, shifted left by 8, and the number of stuff bits in the low byte."""
    last, run, stuffed = state >> 2, (state & 3) + 1, 0
    for place in range(length - 1, -1, -1):
        bit = value >> place & 1
        run = run + 1 if bit == last else 1
        last = bit
        if run == 5:
            last, run = 1 - bit, 1
            stuffed += 1
    return (last << 2 | run - 1) << 8 | stuffed


def _crc_of_byte(byte: int) -> int:
    crc = byte << 7
    for _ in range(8):
        crc = (crc << 1) ^ (_CRC_POLYNOMIAL if crc & 0x4000 else 0)
    return crc & _CRC_MASK


_CRC_TABLE = [_crc_of_byte(byte) for byte in range(256)]
_STUFF_8 = [_stuff(state, byte, 8) for state in range(8) for byte in range(256)]
_STUFF_7 = [_stuff(state, bits, 7) for state in range(8) for bits in range(128)]


def _header_bits(can_id: int, extended: bool, remote: bool, dlc: int) -> tuple[int, int]:
    """Start of frame to DLC, unstuffed, and how many bits that is."""
    if not extended:
        return can_id << 7 | remote << 6 | dlc, 19
    return can_id >> 18 << 27 | 0b11 << 25 | (can_id & 0x3FFFF) << 7 | remote << 6 | dlc, 39


@lru_cache(maxsize=4096)
def _header(can_id: int, extended: bool, remote: bool, dlc: int) -> tuple[int, int, int]:
    """After the DLC: the CRC, the stuffing state (shifted left by 8), and the bits sent, stuff bits counted."""
    value, length = _header_bits(can_id, extended, remote, dlc)
    crc = 0
    # Zeros in front do not change a CRC that begins at zero, so the header is padded to whole bytes.
    for byte in value.to_bytes(5, "big"):
        crc = _CRC_TABLE[crc >> 7 ^ byte] ^ (crc << 8 & _CRC_MASK)
    # Start of frame is the first 0: the state after it is "one 0", which is state 0.
    entry = _stuff(0, value, length - 1)
    return crc, entry & 0x700, length + (entry & 0xFF)


@lru_cache(maxsize=16384)
def _count(can_id: int, extended: bool, remote: bool, dlc: int, data: bytes) -> int:
    crc, state, bits = _header(can_id, extended, remote, dlc)
    for byte in data:
        crc = _CRC_TABLE[crc >> 7 ^ byte] ^ (crc << 8 & _CRC_MASK)
        entry = _STUFF_8[state | byte]
        state = entry & 0x700
        bits += entry & 3
    entry = _STUFF_8[state | crc >> 7]
    bits += entry & 3
    bits += _STUFF_7[(entry & 0x700) >> 1 | crc & 0x7F] & 3
    return bits + 8 * len(data) + _CRC_BITS + _TAIL_BITS
