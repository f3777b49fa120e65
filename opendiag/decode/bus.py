"""State of one CAN bus as a listener builds it up: connections, nodes, SDO channels, PDO mappings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from opendiag.decode.connection_set import ConnectionSet
from opendiag.decode.node_view import IDENTITY, Memory, NodeView, configures
from opendiag.decode.pdo_records import PdoReader
from opendiag.decode.sdo_observer import SdoObserver
from opendiag.dictionary.library import Library
from opendiag.dictionary.model import ObjectDictionary


@dataclass(frozen=True, slots=True)
class Dictionaries:
    """Where a node's dictionary comes from: ``by_node`` first, then ``fallback``.

    ``library`` finds one by the identity (1018h) that the traffic shows, for nodes not in ``by_node``.
    """

    by_node: Mapping[int, ObjectDictionary]
    fallback: ObjectDictionary | None = None
    library: Library | None = None


class Bus:
    """Everything known of one CAN bus of the capture. ``known``: what was known of its nodes before it began."""

    def __init__(self, dictionaries: Dictionaries, known: Iterable[NodeView] = ()) -> None:
        self._dictionaries = dictionaries
        self.connections = ConnectionSet()
        self.nodes: dict[int, NodeView] = {}
        self.observers: dict[tuple[int, int], SdoObserver] = {}
        self.pdos = PdoReader()
        self.last = Memory()
        for node_id in dictionaries.by_node:
            self.node(node_id)
        for view in known:
            self.node(view.node_id).adopt(view)
            self.changed(self.node(view.node_id))

    def node(self, node_id: int) -> NodeView:
        """The view of a node, made when it is first heard of. 0 is nobody, and no dictionary describes it."""
        view = self.nodes.get(node_id)
        if view is None:
            dictionary = self._dictionaries.by_node.get(node_id, self._dictionaries.fallback if node_id else None)
            view = self.nodes[node_id] = NodeView(node_id, dictionary)
            if dictionary is not None:
                self.connections.refresh(view)
        return view

    def learn(self, node: NodeView, index: int, subindex: int, raw: bytes, written: bool) -> None:
        """A confirmed SDO transfer showed or changed an object."""
        if not node.learn(index, subindex, raw, written):
            return
        if index == IDENTITY:
            self._identify(node)
        if index == IDENTITY or configures(index):
            self.changed(node)

    def changed(self, node: NodeView) -> None:
        """Communication objects of this node are not what they were."""
        self.connections.refresh(node)
        self.pdos.forget(node.node_id)

    def _identify(self, node: NodeView) -> None:
        """Choose a dictionary by identity, unless the user gave one."""
        vendor, product = node.seen(0x1018, 1), node.seen(0x1018, 2)
        if node.node_id in self._dictionaries.by_node or vendor is None or product is None:
            return
        library = self._dictionaries.library
        found = library.find(vendor, product, node.seen(0x1018, 3)) if library is not None else None
        if found is not None:
            node.use(found)

    def is_repeated(self, key: tuple[Any, ...], content: Any) -> bool:
        """True when the same was said the last time."""
        before = self.last.get(key, self)
        self.last[key] = content
        return bool(before == content)
