"""The frames of every recording in this directory, in the order they were sent.

Each is (identifier with the kernel's flag bits, data, raw DLC or 0, CAN FD flags or None). Plain tuples, so that the
recorder needs nothing but the standard library and the tests do not check the reader against itself.
"""

EFF, RTR, ERR = 0x8000_0000, 0x4000_0000, 0x2000_0000
BRS, ESI = 1, 2


def classic(can_id, data="", raw_dlc=0):
    return can_id, bytes.fromhex(data), raw_dlc, None


def fd(can_id, length, flags=0, first=0):
    return can_id, bytes((first + 7 * place) & 0xFF for place in range(length)), 0, flags


def text(can_id, data):
    return can_id, data.encode("latin-1"), 0, None


def remote(can_id, length, raw_dlc=0):
    """``length`` zero bytes stand for the number of bytes asked for."""
    return can_id | RTR, bytes(length), raw_dlc, None


FRAMES = [
    # a drive's traffic
    classic(0x4E5, "F0160000"),
    classic(0x665, "4078600000000000"),
    classic(0x5E5, "4B786000DB000000"),
    # every length, the ends of the 11-bit range
    classic(0x000, "8100"),
    classic(0x080),
    classic(0x7FF, "2D"),
    classic(0x700, "7F8081"),
    classic(0x181, "0102030405"),
    classic(0x182, "FFFEFDFCFBFA"),
    classic(0x183, "00112233445566"),
    # bytes that look like something else: quotes, a backtick, words of candump, binary digits
    text(0x123, "'`'"),
    text(0x124, "`A'B`' '"),
    text(0x125, "remote r"),
    text(0x126, "ERRORFRA"),
    classic(0x321, "1111000001101001"),
    classic(0x322, "10101010"),
    classic(0x323, "1B5B306D"),
    # remote frames
    remote(0x701, 0),
    remote(0x702, 1),
    remote(0x703, 8),
    # 29 bits; from here on candump indents the 11-bit identifiers
    classic(EFF | 0x18FE_F100, "DEADBEEFDEADBEEF"),
    classic(EFF | 0x0000_0001, "01"),
    classic(EFF | 0x1FFF_FFFF),
    classic(EFF | 0x0000_0665, "4078600000000000"),
    remote(EFF | 0x1ABC_DEF0, 4),
    remote(EFF | 0x0000_0665, 0),
    classic(0x665, "4041600000000000"),
    remote(0x704, 2),
    # raw data length codes 9 to 15
    classic(0x12A, "0001020304050607", 9),
    classic(EFF | 0x12B, "08090A0B0C0D0E0F", 15),
    remote(0x12C, 8, 11),
    # CAN FD
    fd(0x200, 0),
    fd(0x201, 1, BRS),
    fd(0x202, 8, ESI),
    fd(0x203, 12, BRS | ESI),
    fd(0x204, 16, 0, 0x80),
    fd(0x205, 20, BRS, 0x11),
    fd(0x206, 24, BRS),
    fd(EFF | 0x207, 32, ESI),
    fd(0x208, 48, BRS, 0x27),
    fd(EFF | 0x1FFF_FFF9, 64, BRS | ESI),
    # error frames: transmit timeout, arbitration, controller, protocol, no acknowledgement, bus off, restart, many
    classic(ERR | 0x001, "0000000000000000"),
    classic(ERR | 0x002, "1500000000000000"),
    classic(ERR | 0x004, "0020000000008000"),
    classic(ERR | 0x08C, "000C0219000080FE"),
    classic(ERR | 0x010, "0000004400000000"),
    classic(ERR | 0x020, "0000000000000000"),
    classic(ERR | 0x040, "0000000000000000"),
    classic(ERR | 0x100, "0000000000000000"),
    classic(ERR | 0x1FF, "1F3F7F1F99000102"),
    # and back to normal
    classic(0x5E5, "6040600000000000"),
]
