"""What a scan says to one address, and what came back: 1000:00, then 1018:01 to 04, one after the other."""

from __future__ import annotations

from opendiag.errors import WireError
from opendiag.frame import Frame
from opendiag.services.sdo_channel import SdoChannel
from opendiag.wire.sdo import Abort, Response, UploadInitiate, UploadInitiated, decode_response
from opendiag.wire.sdo_abort import SdoAbortCode

ObjectKey = tuple[int, int]
DEVICE_TYPE: ObjectKey = (0x1000, 0)
VENDOR, PRODUCT, REVISION, SERIAL = ((0x1018, subindex) for subindex in range(1, 5))
OBJECTS: tuple[ObjectKey, ...] = (DEVICE_TYPE, VENDOR, PRODUCT, REVISION, SERIAL)
#: A node that is known to be there is asked once more; one that boots again and again must not keep us for ever.
_TRIES, _TRIES_AT_MOST = 2, 5


class Talk:
    """``place`` counts the objects that are dealt with. ``due`` is when the answer to the present question is given up.

    ``client``: somebody else asks this node for us, here is only listened. ``queued``: it waits to be asked.
    ``foreign`` counts requests to it that came from others. ``answers`` holds the different answers to each object, as
    they were on the wire, and ``times`` how often an answer came.
    """

    def __init__(self, node_id: int, client: bool = False) -> None:
        self.node_id = node_id
        self.channel = SdoChannel.default(node_id)
        self.client = client
        self.place = len(OBJECTS) if client else 0
        self.asked: dict[ObjectKey, int] = {}
        self.answers: dict[ObjectKey, list[Response]] = {}
        self.times: dict[ObjectKey, int] = {}
        self.foreign = 0
        self.sent_at = 0.0
        self.due: float | None = None
        self.response_s: float | None = None
        self.heard = False
        self.segmented = False
        self.queued = False
        #: Set by a sibling that reads through the node's own client, or in segments.
        self.values: dict[ObjectKey, int] = {}
        self.error = ""

    # --- asking ---

    @property
    def over(self) -> bool:
        """There is nothing more to ask."""
        return self.place >= len(OBJECTS)

    def request(self) -> Frame:
        """The next question."""
        return self.channel.request(UploadInitiate(*OBJECTS[self.place]).encode())

    def sent(self, left_at: float, due: float) -> None:
        """It was handed over, and should be on the bus at ``left_at``."""
        key = OBJECTS[self.place]
        self.asked[key] = self.asked.get(key, 0) + 1
        self.sent_at, self.due, self.queued = left_at, due, False

    def gave_up(self) -> bool:
        """No answer came in time. Returns whether to ask again, for the same or the next object."""
        self.due = None
        if self.asked[OBJECTS[self.place]] < (_TRIES if self.heard or self.answered else 1):
            return True
        if self.place == 0:
            self.place = len(OBJECTS)
        else:
            self.place += 1
        return not self.over

    # --- hearing ---

    @property
    def answered(self) -> bool:
        """It answered us, be it with an abort."""
        return bool(self.values) or bool(self.answers and not self.client)

    def alive(self, booted: bool) -> bool:
        """It was heard otherwise; what was asked before it ``booted`` is lost. Returns whether to ask (again)."""
        self.heard = True
        if self.client or self.answered or self.queued or not self.asked or (self.due is not None and not booted):
            return False
        if self.asked[DEVICE_TYPE] >= (_TRIES_AT_MOST if booted else _TRIES):
            return False
        self.place, self.due = 0, None
        return True

    def received(self, data: bytes) -> bool:
        """A frame on the CAN-ID of its answers. Returns whether it answers the present question."""
        try:
            message = decode_response(data)
        except WireError:
            return False
        key = self._key(message)
        if key is None:
            return False
        known = self.answers.setdefault(key, [])
        if message not in known:
            known.append(message)
        self.times[key] = self.times.get(key, 0) + 1
        if self.client:
            return False
        if isinstance(message, UploadInitiated) and message.data is None:
            self.segmented = True
            self.place, self.due = len(OBJECTS), None
            return True
        return self._goes_on(key, message)

    def _goes_on(self, key: ObjectKey, message: Response) -> bool:
        if self.due is not None and key == OBJECTS[self.place]:
            self.place, self.due = self.place + 1, None
        elif key == DEVICE_TYPE and self.place in (0, len(OBJECTS)) and len(self.asked) == 1:
            self.place, self.due = 1, None  # late: it was given up
        else:
            return False
        if key == VENDOR and isinstance(message, Abort) and message.code == SdoAbortCode.NO_SUCH_OBJECT:
            self.place = len(OBJECTS)
        return True

    def _key(self, message: Response) -> ObjectKey | None:
        """The object of ours that this answers. An abort counts by its CAN-ID alone: devices put any object in it."""
        if isinstance(message, Abort):
            if self.client:
                return None
            if self.due is not None:
                return OBJECTS[self.place]
            return DEVICE_TYPE if self.asked and not self.answers else None
        if not isinstance(message, UploadInitiated):
            return None
        key = message.index, message.subindex
        return key if key in (OBJECTS if self.client else self.asked) else None

    # --- what came out ---

    def value(self, key: ObjectKey) -> int | None:
        """The first value that came."""
        if key in self.values:
            return self.values[key]
        for message in self.answers.get(key, ()):
            if isinstance(message, UploadInitiated) and message.data is not None:
                return int.from_bytes(message.data, "little")
        return None

    def values_seen(self) -> dict[ObjectKey, list[int]]:
        """The different values that came for each object, where there is more than one."""
        found = {
            key: [int.from_bytes(m.data, "little") for m in messages if isinstance(m, UploadInitiated) and m.data]
            for key, messages in self.answers.items()
        }
        return {key: values for key, values in found.items() if len(values) > 1}

    def too_many(self) -> bool:
        """An object was answered more often than it was asked for."""
        return not self.client and any(count > self.asked.get(key, 0) for key, count in self.times.items())

    def trouble(self) -> str:
        """Why there is no device type, or what the node did not answer; empty when all is well."""
        if self.error:
            return self.error
        if self.client or self.segmented or not self.asked:
            return ""
        if not self.answered:
            times = self.asked[DEVICE_TYPE]
            return f"no answer to 1000:00, asked {'once' if times == 1 else f'{times} times'}"
        for message in self.answers.get(DEVICE_TYPE, ()):
            if isinstance(message, Abort):
                return f"1000:00 aborted: {message.text} ({message.code >> 16:04X} {message.code & 0xFFFF:04X})"
        missing = [key for key in self.asked if key not in self.answers]
        return f"no answer to {', '.join(f'{index:04X}:{sub:02X}' for index, sub in missing)}" if missing else ""
