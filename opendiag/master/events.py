"""What happens on a bus, for whoever wants to know: callbacks, an iterator, or one event that is waited for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from opendiag.errors import AdapterClosed, AdapterError, NotDone
from opendiag.master.arguments import checked_function, checked_node_id, event_classes, kind_text
from opendiag.master.dispatcher import Dispatcher
from opendiag.master.pump import Pump

#: An event class, or several; an instance of any of them counts.
Kind = type | tuple[type, ...]
#: Events that may wait for a slow reader.
BACKLOG = 10_000


@dataclass(frozen=True, slots=True)
class AdapterLost:
    """The way to the bus is gone. Whoever waits, and whoever asks from now on, gets ``error``."""

    at: float
    error: AdapterError


class _Subscription:
    """``kinds`` empty: every event. ``node_id`` None: of every node and of none."""

    __slots__ = ("active", "callback", "kinds", "node_id")

    def __init__(self, kinds: tuple[type, ...], node_id: int | None, callback: Callable[[Any], object]) -> None:
        self.kinds = kinds
        self.node_id = node_id
        self.callback = callback
        self.active = True

    def suits(self, event: object) -> bool:
        if self.kinds and not isinstance(event, self.kinds):
            return False
        return self.node_id is None or getattr(event, "node_id", None) == self.node_id

    def __call__(self, event: object) -> None:
        if self.active:
            self.callback(event)

    def __repr__(self) -> str:
        return repr(self.callback)


class EventStream:
    """Events from the moment it is opened, as an iterator. Close it, or use ``with``.

    ``lost`` counts events that came while ``BACKLOG`` were waiting to be read: the oldest are kept.
    """

    def __init__(self, hub: EventHub, kinds: tuple[type, ...] = (), node_id: int | None = None) -> None:
        if node_id is not None:
            checked_node_id(node_id)
        event_classes(kinds)
        self._hub = hub
        self._pump = hub.pump
        self._events: deque[Any] = deque()
        self._closed = False
        self.lost = 0
        self._subscription = _Subscription(kinds, node_id, self._take)
        hub.add_stream(self._subscription)

    def _take(self, event: object) -> None:
        if len(self._events) < BACKLOG:
            self._events.append(event)
        else:
            self.lost += 1

    @property
    def done(self) -> bool:
        """An event is waiting, or none will come."""
        return bool(self._events) or self._closed

    def get(self, timeout_s: float | None = None) -> Any:
        """The next event; None when none came in time, or the stream is closed. Raise AdapterError, BlockingCall."""
        if not self.done:
            self._pump.check_may_wait("waiting for an event")
            self._pump.wait(self, None if timeout_s is None else self._pump.clock.now() + timeout_s)
        return self._events.popleft() if self._events else None

    def __iter__(self) -> Iterator[Any]:
        """Until the stream or the network is closed. Raise AdapterError when the bus goes."""
        while True:
            try:
                event = self.get()
            except AdapterClosed:
                if self._pump.failure is not None:
                    raise
                return
            if event is None:
                return
            yield event

    def close(self) -> None:
        """What has come can still be taken."""
        self._closed = True
        self._hub.remove(self._subscription)

    def __enter__(self) -> EventStream:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class EventHub:
    """Hands events out in the order they were published."""

    def __init__(self, pump: Pump, dispatcher: Dispatcher) -> None:
        self.pump = pump
        self._dispatcher = dispatcher
        self._callbacks: list[_Subscription] = []
        self._streams: list[_Subscription] = []

    def publish(self, event: object) -> None:
        """Tell everybody. From any thread; never waits."""
        with self.pump.lock:
            for subscription in self._streams:
                if subscription.suits(event):
                    subscription(event)
                    self.pump.wake_done()
            for subscription in self._callbacks:
                if subscription.suits(event):
                    self._dispatcher.post(subscription, event)

    def on(self, kind: Kind, callback: Callable[[Any], object], node_id: int | None = None) -> Callable[[], None]:
        """Returns what ends it. Raise AdapterError when the bus is gone; TypeError, ValueError."""
        checked_function(callback)
        if node_id is not None:
            checked_node_id(node_id)
        made = _Subscription(event_classes(kind), node_id, callback)
        with self.pump.lock:
            self.pump.check_open()
            self._callbacks = [*self._callbacks, made]
        return lambda: self.remove(made)

    def add_stream(self, subscription: _Subscription) -> None:
        with self.pump.lock:
            self._streams = [*self._streams, subscription]

    def remove(self, ended: _Subscription) -> None:
        ended.active = False
        with self.pump.lock:
            self._callbacks = [other for other in self._callbacks if other is not ended]
            self._streams = [other for other in self._streams if other is not ended]

    def wait_for(
        self, wanted: Kind | Callable[[Any], object], timeout_s: float | None, node_id: int | None = None
    ) -> Any:
        """The next event of that kind, or that the function agrees to. Raise NotDone, AdapterError, BlockingCall."""
        kinds, suits = sorted_out(wanted)
        clock = self.pump.clock
        until = None if timeout_s is None else clock.now() + timeout_s
        with EventStream(self, kinds, node_id) as events:
            while (event := events.get(None if until is None else max(until - clock.now(), 0.0))) is not None:
                if suits(event):
                    return event
        raise NotDone(timeout_s or 0.0, kind_text(wanted, node_id))


def sorted_out(wanted: Kind | Callable[[Any], object]) -> tuple[tuple[type, ...], Callable[[Any], object]]:
    """(classes, function) of what `EventHub.wait_for` is given. Raise TypeError for what is neither."""
    if isinstance(wanted, (type, tuple)):
        return event_classes(wanted), lambda event: True
    if not callable(wanted):
        raise TypeError(f"an event class or a function is waited for, not {wanted!r}: see opendiag.services.heartbeat")
    return (), wanted
