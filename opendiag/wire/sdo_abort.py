"""SDO abort codes, each with its sentence (CiA 301)."""

from __future__ import annotations

from enum import IntEnum


class SdoAbortCode(IntEnum):
    TOGGLE_NOT_ALTERNATED = 0x0503_0000
    TIMED_OUT = 0x0504_0000
    UNKNOWN_COMMAND = 0x0504_0001
    INVALID_BLOCK_SIZE = 0x0504_0002
    INVALID_SEQUENCE_NUMBER = 0x0504_0003
    CRC_ERROR = 0x0504_0004
    OUT_OF_MEMORY = 0x0504_0005
    UNSUPPORTED_ACCESS = 0x0601_0000
    WRITE_ONLY = 0x0601_0001
    READ_ONLY = 0x0601_0002
    NO_SUCH_OBJECT = 0x0602_0000
    CANNOT_BE_MAPPED = 0x0604_0041
    PDO_TOO_LONG = 0x0604_0042
    PARAMETER_INCOMPATIBLE = 0x0604_0043
    INTERNALLY_INCOMPATIBLE = 0x0604_0047
    HARDWARE_ERROR = 0x0606_0000
    LENGTH_MISMATCH = 0x0607_0010
    TOO_LONG = 0x0607_0012
    TOO_SHORT = 0x0607_0013
    NO_SUCH_SUBINDEX = 0x0609_0011
    INVALID_VALUE = 0x0609_0030
    VALUE_TOO_HIGH = 0x0609_0031
    VALUE_TOO_LOW = 0x0609_0032
    MAXIMUM_BELOW_MINIMUM = 0x0609_0036
    NO_SDO_CONNECTION = 0x060A_0023
    GENERAL_ERROR = 0x0800_0000
    CANNOT_STORE = 0x0800_0020
    LOCAL_CONTROL = 0x0800_0021
    DEVICE_STATE = 0x0800_0022
    NO_DICTIONARY = 0x0800_0023
    NO_DATA = 0x0800_0024


ABORT_TEXTS: dict[int, str] = {
    SdoAbortCode.TOGGLE_NOT_ALTERNATED: "toggle bit not alternated",
    SdoAbortCode.TIMED_OUT: "SDO protocol timed out",
    SdoAbortCode.UNKNOWN_COMMAND: "command specifier not valid or unknown",
    SdoAbortCode.INVALID_BLOCK_SIZE: "invalid block size",
    SdoAbortCode.INVALID_SEQUENCE_NUMBER: "invalid sequence number in a block transfer",
    SdoAbortCode.CRC_ERROR: "CRC error in a block transfer",
    SdoAbortCode.OUT_OF_MEMORY: "out of memory",
    SdoAbortCode.UNSUPPORTED_ACCESS: "access to the object is not supported",
    SdoAbortCode.WRITE_ONLY: "the object can only be written, not read",
    SdoAbortCode.READ_ONLY: "the object can only be read, not written",
    SdoAbortCode.NO_SUCH_OBJECT: "the object does not exist",
    SdoAbortCode.CANNOT_BE_MAPPED: "the object cannot be mapped to a PDO",
    SdoAbortCode.PDO_TOO_LONG: "the mapped objects exceed the length of the PDO",
    SdoAbortCode.PARAMETER_INCOMPATIBLE: "general parameter incompatibility",
    SdoAbortCode.INTERNALLY_INCOMPATIBLE: "general incompatibility inside the device",
    SdoAbortCode.HARDWARE_ERROR: "access failed because of a hardware error",
    SdoAbortCode.LENGTH_MISMATCH: "data type or length does not match",
    SdoAbortCode.TOO_LONG: "data too long for the object",
    SdoAbortCode.TOO_SHORT: "data too short for the object",
    SdoAbortCode.NO_SUCH_SUBINDEX: "the subindex does not exist",
    SdoAbortCode.INVALID_VALUE: "invalid value for the object",
    SdoAbortCode.VALUE_TOO_HIGH: "value too high",
    SdoAbortCode.VALUE_TOO_LOW: "value too low",
    SdoAbortCode.MAXIMUM_BELOW_MINIMUM: "maximum is below minimum",
    SdoAbortCode.NO_SDO_CONNECTION: "no SDO connection available",
    SdoAbortCode.GENERAL_ERROR: "general error",
    SdoAbortCode.CANNOT_STORE: "data cannot be transferred or stored to the application",
    SdoAbortCode.LOCAL_CONTROL: "data cannot be transferred or stored: the device is under local control",
    SdoAbortCode.DEVICE_STATE: "data cannot be transferred or stored in the present device state",
    SdoAbortCode.NO_DICTIONARY: "the device has no object dictionary, or could not generate it",
    SdoAbortCode.NO_DATA: "no data available",
}


def abort_text(code: int) -> str:
    """The sentence of an abort code; a code that CiA 301 does not list says so."""
    return ABORT_TEXTS.get(code, "abort code not listed in CiA 301")
