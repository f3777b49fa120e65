"""A node on a live bus: its objects by name or number, and plain SDO transfers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from opendiag.decode.node_view import DEVICE_TYPE, IDENTITY, Described, NodeView
from opendiag.dictionary import builtin, names
from opendiag.dictionary.datatypes import byte_width
from opendiag.dictionary.model import ObjectDictionary, ObjectType
from opendiag.errors import AdapterError, ObjectNotFound, SdoError, SdoTimeout
from opendiag.master.arguments import checked_key
from opendiag.master.node_emcy import NodeEmcy
from opendiag.master.node_nmt import NodeNmt
from opendiag.master.transfers import PendingTransfer
from opendiag.master.variable import NodeRecord, NodeVariable
from opendiag.services.plans import Plan, SdoRead
from opendiag.services.sdo_channel import SdoChannel
from opendiag.services.sdo_client import SdoClient, SdoTransfer

if TYPE_CHECKING:
    from opendiag.master.network import Network
    from opendiag.master.node_pdo import NodePdo

Progress = Callable[[int, int | None], None]
#: Vendor-ID, product code and revision, as far as they are known.
Identity = tuple[int | None, int | None, int | None]
_SINGLE = (ObjectType.VAR, ObjectType.DOMAIN)
#: Storing (1010h) and restoring (1011h) parameters takes a device seconds before it answers.
_SLOW_OBJECTS = (0x1010, 0x1011)
_SLOW_S = 10.0


@dataclass(frozen=True, slots=True)
class Known:
    """1000h and 1018h of a node: as it said itself, vendor and product else as its file says; None: not known."""

    device_type: int | None = None
    vendor_id: int | None = None
    product_code: int | None = None
    revision: int | None = None
    serial: int | None = None


class Node:
    """Made by `Network.node`. ``view`` holds what is known of the node: its dictionary, and values that were read."""

    def __init__(
        self, network: Network, node_id: int, dictionary: ObjectDictionary | None, channel: SdoChannel
    ) -> None:
        self.network = network
        self.node_id = node_id
        self.view = NodeView(node_id, dictionary)
        self.client = SdoClient(channel, timeout_s=network.timeout_s)
        self._identified = dictionary is not None
        self._pdo: NodePdo | None = None
        network.pump.add(self.client, channel.response_id, channel.response_extended)

    def __repr__(self) -> str:
        return f"<node {self.node_id} on {self.network.name}>"

    # --- objects ---

    @property
    def dictionary(self) -> ObjectDictionary | None:
        """The one it was given, else the one that its identity (1018h) chooses, which is read once to find out.

        None when no file fits: the CiA tables name the objects then. Raises SdoError, AdapterError.
        """
        if not self._identified:
            self._identify()
        return self.view.dictionary

    def use(self, dictionary: ObjectDictionary) -> None:
        """Take names, types and limits from this dictionary from now on."""
        self.view.use(dictionary)
        self.network.monitor.identify(self.node_id)
        self._identified = True
        if self._pdo is not None:
            self._pdo.renew()

    def __getitem__(self, key: int | str | tuple[int, int]) -> NodeVariable | NodeRecord:
        """``node[0x6041]``, ``node["Statusword"]``, ``node[0x1018, 1]``, ``node["Identity Object.Vendor ID"]``.

        An array or a record gives a `NodeRecord`. Raises ObjectNotFound for a name that nobody knows; a number need
        not be known. A name may have to ask the node who it is: SdoError, AdapterError.
        """
        checked_key(key)
        if isinstance(key, tuple):
            return NodeVariable(self, *_checked(*key))
        number = names.number_of(key) if isinstance(key, str) else (key, None)
        index, subindex = self._find(str(key)) if number is None else number
        _checked(index, subindex or 0)
        if subindex is None and not self._is_record(index):
            subindex = 0
        return NodeRecord(self, index) if subindex is None else NodeVariable(self, index, subindex)

    def _find(self, name: str) -> names.Key:
        """A silent node is no reason not to know a CiA name: the reading of it will say why it is silent."""
        try:
            dictionary = self.dictionary
        except SdoTimeout as silent:
            try:
                return names.find(name, None)
            except ObjectNotFound:
                raise silent from None
        return names.find(name, dictionary)

    def variable(self, key: int | str | tuple[int, int]) -> NodeVariable:
        """As ``node[key]``, where an array or a record is taken as its member 0."""
        found = self[key]
        return found[0] if isinstance(found, NodeRecord) else found

    def _is_record(self, index: int) -> bool:
        """What is not CiA's is the node's own: it may have to be asked who it is."""
        standard = builtin.object_type(index)
        dictionary = self.view.dictionary if standard is not None else self.dictionary
        own = dictionary.objects.get(index) if dictionary is not None else None
        object_type = own.object_type if own is not None else standard
        return object_type is not None and object_type not in _SINGLE

    @property
    def nmt(self) -> NodeNmt:
        """Commands to it, its NMT state, its heartbeat."""
        return NodeNmt(self.network, self.node_id)

    @property
    def emcy(self) -> NodeEmcy:
        """The errors that it reports."""
        return NodeEmcy(self)

    @property
    def identity(self) -> Known:
        """Who it is, as far as it is known: nothing is sent. ``network.scan()`` and names of objects ask it."""
        view = self.view
        device = None if view.dictionary is None else view.dictionary.device
        vendor, product, revision, serial = (view.seen(IDENTITY, subindex) for subindex in (1, 2, 3, 4))
        if device is not None:
            vendor = device.vendor_id if vendor is None else vendor
            product = device.product_code if product is None else product
        return Known(view.seen(DEVICE_TYPE, 0), vendor, product, revision, serial)

    @property
    def pdo(self) -> NodePdo:
        """Its PDOs."""
        if self._pdo is None:
            from opendiag.master.node_pdo import NodePdo

            with self.network.pump.lock:
                if self._pdo is None:
                    self._pdo = NodePdo(self)
        return self._pdo

    def identify(self) -> None:
        """Have its dictionary chosen, unless that is done. A silent node, or a bus that is gone, is no error here."""
        try:
            if not self._identified:
                self._identify()
        except (SdoTimeout, AdapterError):
            pass

    def _identify(self) -> None:
        """Ask the node who it is. A node that does not say keeps the CiA tables; one that is silent is asked again."""
        self.network.pump.check_may_wait("reading an object")
        self.identified(self.network.run(ask_identity(self.node_id)))

    @property
    def needs_identity(self) -> bool:
        """Its dictionary is to be chosen by what `ask_identity` finds out."""
        return not self._identified

    def identified(self, identity: Identity) -> None:
        """Take the dictionary that the library has for this identity; a file may have to be read for that."""
        vendor, product, revision = identity
        self._identified = True
        if vendor is not None and product is not None:
            found = self.network.library.find(vendor, product, revision)
            if found is not None:
                self.use(found)

    # --- transfers ---

    def upload(
        self,
        index: int,
        subindex: int = 0,
        *,
        block: bool = False,
        timeout_s: float | None = None,
        into: BinaryIO | None = None,
        progress: Progress | None = None,
    ) -> bytes:
        """Read an object's bytes; with ``into`` they go there, and the result is empty.

        ``progress(transferred, size)`` is called now and then, the size is None while the device has not said it.
        Raises SdoError, AdapterError, BlockingCall.
        """
        self.network.pump.check_may_wait("reading an object")
        pending = self.begin_upload(index, subindex, block=block, timeout_s=timeout_s, into=into, progress=progress)
        return pending.result()

    def download(
        self,
        index: int,
        subindex: int,
        data: bytes | BinaryIO,
        *,
        size: int | None = None,
        block: bool = False,
        timeout_s: float | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Write an object's bytes, whatever its dictionary says. ``size`` announces that of a stream.

        Raises SdoError, AdapterError, BlockingCall.
        """
        self.network.pump.check_may_wait("writing an object")
        pending = self.begin_download(
            index, subindex, data, size=size, block=block, timeout_s=timeout_s, progress=progress
        )
        pending.result()

    def begin_upload(
        self,
        index: int,
        subindex: int = 0,
        *,
        block: bool = False,
        timeout_s: float | None = None,
        into: BinaryIO | None = None,
        progress: Progress | None = None,
        urgent: bool = False,
    ) -> PendingTransfer:
        """Start a read and go on. Transfers with one node wait for each other, those with several run side by side.

        An ``urgent`` one goes before the others; one under way that does not end soon is cancelled for it.
        """
        return self._begin(
            lambda now: self.client.upload(
                index, subindex, now, block=block, timeout_s=timeout_s, into=into, progress=progress, urgent=urgent
            )
        )

    def begin_download(
        self,
        index: int,
        subindex: int,
        data: bytes | BinaryIO,
        *,
        size: int | None = None,
        block: bool = False,
        timeout_s: float | None = None,
        progress: Progress | None = None,
        urgent: bool = False,
    ) -> PendingTransfer:
        """Start a write and go on. Without ``timeout_s`` a device has 10 s to store or restore parameters."""
        if timeout_s is None and index in _SLOW_OBJECTS:
            timeout_s = max(_SLOW_S, self.client.default_timeout_s)
        return self._begin(
            lambda now: self.client.download(
                index,
                subindex,
                data,
                now,
                size=size,
                block=block,
                timeout_s=timeout_s,
                progress=progress,
                urgent=urgent,
            )
        )

    def _begin(self, start: Callable[[float], SdoTransfer]) -> PendingTransfer:
        """Queue a transfer and send its first message. None is left behind that nobody holds."""
        pump = self.network.pump
        with pump.lock:
            pump.check_open()
            now = pump.catch_up()
            transfer = start(now)
            try:
                pump.drain(self.client, now)
            except BaseException:  # Ctrl-C, most likely: it must not be executed later
                self.client.cancel(transfer, now)
                pump.drain(self.client, now)
                raise
            return PendingTransfer(self, transfer)

    def fitted(self, transfer: SdoTransfer, raw: bytes) -> bytes:
        """The bytes that count: of an answer that does not say how many of its four do, as many as the type has."""
        if not any(oddity.code == "SDO-UNSIZED" for oddity in transfer.oddities):
            return raw
        variable = self.view.describe(transfer.index, transfer.subindex).variable
        return raw if variable is None else raw[: byte_width(variable.data_type)]

    def describe(self, index: int, subindex: int) -> Described:
        """The object in the words of the node's dictionary or of the CiA tables. Raise as `dictionary`."""
        if not self._identified:
            self._identify()
        return self.view.describe(index, subindex)


def ask_identity(node_id: int) -> Plan[Identity]:
    """Vendor-ID, product code and revision from 1018h; None for what the node does not say. Raise SdoTimeout."""
    numbers: list[int | None] = []
    for subindex in (1, 2, 3):
        try:
            raw = yield SdoRead(node_id, IDENTITY, subindex)
        except SdoTimeout:
            raise
        except SdoError:
            numbers.append(None)
        else:
            numbers.append(int.from_bytes(raw, "little"))
    return numbers[0], numbers[1], numbers[2]


def _checked(index: int, subindex: int) -> tuple[int, int]:
    if not (0 <= index <= 0xFFFF and 0 <= subindex <= 0xFF):
        raise ObjectNotFound(f"{index:X}:{subindex:X}: an index has 16 bits and a subindex 8", "CANopen")
    return index, subindex
