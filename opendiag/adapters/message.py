"""`Frame` to python-can's ``Message`` and back."""

from __future__ import annotations

from can import Message

from opendiag.frame import Frame


def from_message(message: Message) -> Frame:
    """A frame with the message's time (s, rounded to ns), channel and direction.

    Raises ValueError for a message that no CAN bus can carry; python-can does not check them by itself.
    """
    if not (message.is_error_frame or message.is_remote_frame or message.is_fd):  # by far the most
        return Frame(
            message.arbitration_id,
            bytes(message.data),
            message.is_extended_id,
            channel=None if message.channel is None else str(message.channel),
            direction="rx" if message.is_rx else "tx",
            time_ns=round(message.timestamp * 1e9) if message.timestamp else None,
        )
    dlc = message.dlc if message.is_remote_frame else -1
    can_id = message.arbitration_id
    return Frame(
        can_id & 0x1FFF_FFFF if message.is_error_frame else can_id,
        b"" if message.is_remote_frame else bytes(message.data),
        extended=message.is_extended_id and not message.is_error_frame,
        remote=message.is_remote_frame,
        error=message.is_error_frame,
        fd=message.is_fd,
        brs=message.bitrate_switch,
        esi=message.error_state_indicator,
        dlc=dlc,
        channel=None if message.channel is None else str(message.channel),
        direction="rx" if message.is_rx else "tx",
        time_ns=round(message.timestamp * 1e9) if message.timestamp else None,
    )


def to_message(frame: Frame) -> Message:
    """A message to send: without time, and checked by python-can.

    Raises ValueError for what python-can cannot send: it would change a length code above 8 to 8.
    """
    if frame.dlc > 8 and not frame.fd:
        raise ValueError(f"python-can sends no classic frame with the length code {frame.dlc}")
    return Message(
        arbitration_id=frame.can_id,
        data=None if frame.remote else frame.data,
        dlc=frame.dlc if frame.remote else None,
        is_extended_id=frame.extended,
        is_remote_frame=frame.remote,
        is_error_frame=frame.error,
        is_fd=frame.fd,
        bitrate_switch=frame.brs,
        error_state_indicator=frame.esi,
        channel=frame.channel,
        check=True,
    )


def received_message(frame: Frame, channel: str) -> Message:
    """A message as a bus hands it out, with its time; nothing is checked again."""
    if not _PLAIN:
        return constructed(frame, channel)
    # Its constructor takes most of the time that receiving a frame takes.
    message = _new(Message)
    message.timestamp = (frame.time_ns or 0) / 1e9
    message.arbitration_id = frame.can_id
    message.is_extended_id = frame.extended or frame.error
    message.is_remote_frame = frame.remote
    message.is_error_frame = frame.error
    message.channel = channel
    message.dlc = frame.dlc if frame.remote else len(frame.data)
    message.data = bytearray(frame.data)
    message.is_fd = frame.fd
    message.is_rx = frame.direction != "tx"
    message.bitrate_switch = frame.brs
    message.error_state_indicator = frame.esi
    return message


def constructed(frame: Frame, channel: str) -> Message:
    """The same by python-can's constructor, whatever fields it has."""
    return Message(
        timestamp=(frame.time_ns or 0) / 1e9,
        arbitration_id=frame.can_id,
        is_extended_id=frame.extended or frame.error,
        is_remote_frame=frame.remote,
        is_error_frame=frame.error,
        channel=channel,
        dlc=frame.dlc if frame.remote else len(frame.data),
        data=frame.data,
        is_fd=frame.fd,
        is_rx=frame.direction != "tx",
        bitrate_switch=frame.brs,
        error_state_indicator=frame.esi,
    )


_new = Message.__new__
#: Whether this python-can's messages have no more to them than what is set above.
_PLAIN = set(Message.__slots__) == {
    "__weakref__", "timestamp", "arbitration_id", "is_extended_id", "is_remote_frame", "is_error_frame", "channel",
    "dlc", "data", "is_fd", "is_rx", "bitrate_switch", "error_state_indicator",
}  # fmt: skip
