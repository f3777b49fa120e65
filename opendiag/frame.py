"""One CAN frame, as every part of opendiag sees it.

Not here: python-can's ``Message`` (`opendiag.adapters.message` converts) and anything of CANopen.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_STANDARD_ID = 0x7FF
MAX_EXTENDED_ID = 0x1FFF_FFFF

#: CAN FD data length code (DLC) -> number of data bytes.
FD_LENGTHS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64)
_set = object.__setattr__
_FD_DLC = {length: dlc for dlc, length in enumerate(FD_LENGTHS)}


@dataclass(frozen=True, slots=True)
class Frame:
    """A classic CAN, CAN FD or error frame.

    ``can_id``    11 or 29 bits (``extended``); in an error frame the Linux error class bits, 29 of them.
    ``dlc``       the data length code. Left out, it is the one that belongs to ``data``. In a remote frame it
                  is the number of bytes asked for; a classic frame may carry 9..15 (8 bytes of data).
    ``direction`` "rx" or "tx" where the source says it.
    ``time_ns``   nanoseconds; since the epoch or since an unknown start, as the source has it.

    Raises ValueError for what no CAN bus can carry.
    """

    can_id: int
    data: bytes = b""
    extended: bool = False
    remote: bool = False
    error: bool = False
    fd: bool = False
    brs: bool = False
    esi: bool = False
    dlc: int = -1
    channel: str | None = None
    direction: str | None = None
    time_ns: int | None = None

    def __post_init__(self) -> None:
        plain = not (self.extended or self.remote or self.error or self.fd or self.brs or self.esi)
        if plain and self.dlc == -1 and 0 <= self.can_id <= MAX_STANDARD_ID and len(self.data) <= 8:
            _set(self, "dlc", len(self.data))  # by far the most
            return
        limit = MAX_EXTENDED_ID if self.extended or self.error else MAX_STANDARD_ID
        if not 0 <= self.can_id <= limit:
            raise ValueError(f"CAN-ID {self.can_id:#x} is outside 0..{limit:#x}")
        length = len(self.data)
        if self.fd:
            if length not in _FD_DLC:
                raise ValueError(f"{length} data bytes do not exist in CAN FD (0..8, 12, 16, 20, 24, 32, 48, 64)")
            if self.remote:
                raise ValueError("CAN FD has no remote frames")
            dlc = _FD_DLC[length]
            if self.dlc not in (-1, dlc):
                raise ValueError(f"DLC {self.dlc} does not belong to {length} bytes of CAN FD data")
            _set(self, "dlc", dlc)
            return
        if self.brs or self.esi:
            raise ValueError("BRS and ESI exist in CAN FD frames only")
        if length > 8:
            raise ValueError(f"{length} data bytes in a classic CAN frame (at most 8)")
        if self.remote and length:
            raise ValueError("a remote frame carries no data")
        if self.dlc == -1:
            _set(self, "dlc", length)
        elif not (0 <= self.dlc <= 15 if self.remote else self.dlc == length or (length == 8 and 8 < self.dlc <= 15)):
            raise ValueError(f"DLC {self.dlc} does not belong to {length} data bytes")

    @property
    def id_text(self) -> str:
        """CAN-ID as candump writes it: 3 hexadecimal digits for 11 bits, 8 for 29."""
        if self.error:
            return f"{self.can_id | 0x2000_0000:08X}"
        return f"{self.can_id:08X}" if self.extended else f"{self.can_id:03X}"
