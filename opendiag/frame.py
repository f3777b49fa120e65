"""One CAN frame, as every part of opendiag sees it.

Not here: python-can's ``Message`` (`opendiag.adapters.message` converts) and anything of CANopen.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_STANDARD_ID = 0x7FF
MAX_EXTENDED_ID = 0x1FFF_FFFF

#: CAN FD data length code (DLC) -> number of data bytes.
FD_LENGTHS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64)
_FD_DLC = {length: dlc for dlc, length in enumerate(FD_LENGTHS)}


@dataclass(frozen=True, slots=True, init=False)
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

    # Made by the million: the one that dataclass writes for a frozen class takes three times as long.
    def __init__(
        self,
        can_id: int,
        data: bytes = b"",
        extended: bool = False,
        remote: bool = False,
        error: bool = False,
        fd: bool = False,
        brs: bool = False,
        esi: bool = False,
        dlc: int = -1,
        channel: str | None = None,
        direction: str | None = None,
        time_ns: int | None = None,
    ) -> None:
        length = len(data)
        limit = MAX_EXTENDED_ID if extended or error else MAX_STANDARD_ID
        if dlc == -1 and length <= 8 and 0 <= can_id <= limit and not (remote or fd or brs or esi):
            dlc = length  # by far the most
        else:
            dlc = _checked_dlc(can_id, limit, length, remote, fd, brs or esi, dlc)
        _set_can_id(self, can_id)
        _set_data(self, data)
        _set_extended(self, extended)
        _set_remote(self, remote)
        _set_error(self, error)
        _set_fd(self, fd)
        _set_brs(self, brs)
        _set_esi(self, esi)
        _set_dlc(self, dlc)
        _set_channel(self, channel)
        _set_direction(self, direction)
        _set_time_ns(self, time_ns)

    @property
    def id_text(self) -> str:
        """CAN-ID as candump writes it: 3 hexadecimal digits for 11 bits, 8 for 29."""
        if self.error:
            return f"{self.can_id | 0x2000_0000:08X}"
        return f"{self.can_id:08X}" if self.extended else f"{self.can_id:03X}"


# The slots' own setters: what `object.__setattr__` finds again for each of them, each time.
(
    _set_can_id,
    _set_data,
    _set_extended,
    _set_remote,
    _set_error,
    _set_fd,
    _set_brs,
    _set_esi,
    _set_dlc,
    _set_channel,
    _set_direction,
    _set_time_ns,
) = (vars(Frame)[name].__set__ for name in Frame.__slots__)


def _checked_dlc(can_id: int, limit: int, length: int, remote: bool, fd: bool, only_fd: bool, dlc: int) -> int:
    """The DLC of a frame that is not of the usual kind. Raise ValueError."""
    if not 0 <= can_id <= limit:
        raise ValueError(f"CAN-ID {can_id:#x} is outside 0..{limit:#x}")
    if fd:
        if length not in _FD_DLC:
            raise ValueError(f"{length} data bytes do not exist in CAN FD (0..8, 12, 16, 20, 24, 32, 48, 64)")
        if remote:
            raise ValueError("CAN FD has no remote frames")
        if dlc not in (-1, _FD_DLC[length]):
            raise ValueError(f"DLC {dlc} does not belong to {length} bytes of CAN FD data")
        return _FD_DLC[length]
    if only_fd:
        raise ValueError("BRS and ESI exist in CAN FD frames only")
    if length > 8:
        raise ValueError(f"{length} data bytes in a classic CAN frame (at most 8)")
    if remote and length:
        raise ValueError("a remote frame carries no data")
    if dlc == -1:
        return length
    if not (0 <= dlc <= 15 if remote else dlc == length or (length == 8 and 8 < dlc <= 15)):
        raise ValueError(f"DLC {dlc} does not belong to {length} data bytes")
    return dlc
