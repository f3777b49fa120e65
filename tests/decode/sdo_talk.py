"""SDO conversations as a correct client and a correct server hold them, made with the wire codecs.

What is tested is fed with these; nothing here looks at the decoder.
"""

import binascii
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from opendiag.frame import Frame
from opendiag.wire import sdo, sdo_block

CLIENT, SERVER = True, False
INDEX, SUBINDEX = 0x2ABC, 0x5D
NS_PER_FRAME = 1_000_000


def payload(size):
    """Bytes without a zero among them, and not the same ones in any two segments of a transfer."""
    return bytes(1 + (7 * i + i // 251) % 255 for i in range(size))


@dataclass(frozen=True)
class Talk:
    """``messages`` are (from the client, eight bytes), in order; ``data`` is what they transfer."""

    kind: str
    protocol: str
    index: int
    subindex: int
    data: bytes
    messages: tuple
    announced: bool = False
    crc: bool = False

    def but(self, messages):
        return replace(self, messages=tuple(messages))

    @property
    def carrier(self):
        """Position of the message that tells how the data come: the client's first, or the server's first."""
        return 0 if self.kind == "write" else 1

    def is_data(self, position):
        """Is this message a segment? (expedited data are in the carrier)"""
        from_client, _ = self.messages[position]
        if self.protocol == "block":
            return position in self._block_data()
        if self.protocol == "expedited" or position < 2:
            return False
        return from_client == (self.kind == "write")

    def _block_data(self):
        """A sub-block is what the sender of the data says between two messages of the receiver."""
        start = 2 if self.kind == "write" else 3
        sender = self.kind == "write"
        mine = [i for i in range(start, len(self.messages)) if self.messages[i][0] == sender]
        return mine[:-1]  # the last one is the end message


def expedited(kind, data, sized=True, index=INDEX, subindex=SUBINDEX):
    if kind == "read":
        ask, answer = sdo.UploadInitiate(index, subindex), sdo.UploadInitiated(index, subindex, data, sized=sized)
    else:
        ask, answer = sdo.DownloadInitiate(index, subindex, data, sized=sized), sdo.DownloadInitiated(index, subindex)
    return Talk(kind, "expedited", index, subindex, data, ((CLIENT, ask.encode()), (SERVER, answer.encode())))


def chunks_of(data):
    return [data[i : i + 7] for i in range(0, len(data), 7)] or [b""]


def segmented(kind, data, announced=True, index=INDEX, subindex=SUBINDEX, empty_end=False, switched_from=None):
    """``empty_end``: a last segment without data. ``switched_from``: the request of a block upload."""
    size = len(data) if announced else None
    chunks = chunks_of(data) + ([b""] if empty_end else [])
    if kind == "read":
        ask = switched_from or sdo.UploadInitiate(index, subindex)
        talk = [(CLIENT, ask), (SERVER, sdo.UploadInitiated(index, subindex, size=size))]
    else:
        ask = sdo.DownloadInitiate(index, subindex, size=size)
        talk = [(CLIENT, ask), (SERVER, sdo.DownloadInitiated(index, subindex))]
    for number, chunk in enumerate(chunks):
        toggle, segment = bool(number % 2), sdo.Segment(bool(number % 2), chunk, number == len(chunks) - 1)
        if kind == "read":
            talk += [(CLIENT, sdo.SegmentRequest(toggle)), (SERVER, segment)]
        else:
            talk += [(CLIENT, segment), (SERVER, sdo.SegmentAck(toggle))]
    return Talk(kind, "segmented", index, subindex, data, encoded(talk), announced)


def block(
    kind,
    data,
    block_size=127,
    crc=True,
    announced=True,
    lost=(),
    hidden=False,
    index=INDEX,
    subindex=SUBINDEX,
):
    """``lost``: which of the segments sent, counted from 1, the receiver does not get and asks for again.

    ``hidden``: the capture does not have them either.
    """
    size = len(data) if announced else None
    if kind == "read":
        sender, receiver = SERVER, CLIENT
        talk = [
            (CLIENT, sdo_block.BlockUploadInitiate(index, subindex, block_size, crc=crc)),
            (SERVER, sdo_block.BlockUploadInitiated(index, subindex, size, crc)),
            (CLIENT, sdo_block.BlockUploadStart()),
        ]
    else:
        sender, receiver = CLIENT, SERVER
        talk = [
            (CLIENT, sdo_block.BlockDownloadInitiate(index, subindex, size, crc)),
            (SERVER, sdo_block.BlockDownloadInitiated(index, subindex, block_size, crc)),
        ]
    chunks = chunks_of(data)
    position = sent = 0
    while position < len(chunks):
        good, whole = 0, True
        for sequence, chunk in enumerate(chunks[position : position + block_size], 1):
            sent += 1
            whole = whole and sent not in lost
            good = sequence if whole else good
            if sent in lost and hidden:
                continue
            last = position + sequence == len(chunks)
            talk.append((sender, sdo_block.BlockSegment(sequence, chunk.ljust(7, b"\0"), last)))
        talk.append((receiver, sdo_block.BlockAck(good, block_size)))
        position += good
    end = sdo_block.BlockEnd(7 - len(chunks[-1]), binascii.crc_hqx(data, 0) if crc else 0)
    talk += [(sender, end), (receiver, sdo_block.BlockEnded())]
    return Talk(kind, "block", index, subindex, data, encoded(talk), announced, crc)


def encoded(talk):
    return tuple((from_client, message.encode()) for from_client, message in talk)


def aborted(talk, position, by_client, code=0x0800_0000, index=None, subindex=None):
    """The conversation is left by an abort in the place of message number ``position``."""
    index = talk.index if index is None else index
    subindex = talk.subindex if subindex is None else subindex
    return (*talk.messages[:position], (by_client, sdo.Abort(index, subindex, code).encode()))


def frames(messages, node_id, channel=None, request_id=0x600, response_id=0x580, start=1):
    """As frames of the default SDO channel of a node, one each millisecond."""
    return [
        Frame((request_id if from_client else response_id) + node_id, data, channel=channel, time_ns=n * NS_PER_FRAME)
        for n, (from_client, data) in enumerate(messages, start)
    ]


SIZES_SEGMENTED = (0, 1, 4, 5, 7, 8, 14, 100)
SIZES_BLOCK = (1, 7, 8, 50, 889, 890, 2000)
BLOCK_SIZES = (1, 4, 127)


@st.composite
def talks(draw, index=None):
    """Any correct conversation, as long as it stays small."""
    kind = draw(st.sampled_from(["read", "write"]))
    where = {
        "index": draw(st.integers(0x2000, 0x5FFF)) if index is None else index,
        "subindex": draw(st.integers(0, 3)),
    }
    protocol = draw(st.sampled_from([expedited, segmented, block]))
    if protocol is expedited:
        data = draw(st.binary(min_size=1, max_size=4))
        return expedited(kind, data, len(data) < 4 or draw(st.booleans()), **where)
    data = draw(st.binary(max_size=60))
    announced = draw(st.booleans())
    if protocol is segmented:
        return segmented(kind, data, announced, **where)
    lost = draw(st.sets(st.integers(1, 12), max_size=3))
    return block(
        kind,
        data,
        draw(st.integers(1, 9)),
        draw(st.booleans()),
        announced,
        lost,
        hidden=draw(st.booleans()),
        **where,
    )


SMALL = [
    *(expedited(kind, payload(size)) for kind in ("read", "write") for size in (1, 2, 4)),
    *(segmented(kind, payload(size), said) for kind in ("read", "write") for size in (5, 21) for said in (True, False)),
    *(
        block(kind, payload(size), 4, crc, said)
        for kind in ("read", "write")
        for size in (7, 50)
        for crc in (True, False)
        for said in (True, False)
    ),
    block("read", payload(50), 4, lost={3}),
    block("write", payload(50), 4, lost={3}),
]


def label(value):
    """Test id."""
    if not isinstance(value, Talk):
        return None
    options = f"{'-announced' * value.announced}{'-crc' * value.crc}-{len(value.messages)}-messages"
    return f"{value.protocol}-{value.kind}-{len(value.data)}{options}"
