"""Asks a socketcand server whether it is there, before python-can's client does, which knows no end of waiting.

And sees when the server has gone, which that client takes for a silent bus.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket

from opendiag.adapters.socketcand_codec import GREETING, OK
from opendiag.errors import AdapterNotFound

_MAX_ANSWER = 500


def probe(host: str, port: int, channel: str, timeout_s: float = 2.0) -> None:
    """Raises AdapterNotFound when nobody answers within ``timeout_s`` each, or does not serve ``channel``."""
    where = f"socketcand:{host}:{port}/{channel}"
    try:
        with socket.create_connection((host, port), timeout_s) as connection:
            greeting = _answer(connection)
            if greeting != GREETING:
                raise AdapterNotFound(where, f"no socketcand server there: it says {_shown(greeting)}")
            connection.sendall(f"< open {channel} >".encode())
            answer = _answer(connection)
            if answer != OK:
                raise AdapterNotFound(where, f"the server refuses {channel}: {_shown(answer)}")
    except TimeoutError as error:
        raise AdapterNotFound(where, f"no answer within {timeout_s:g} s: is a socketcand server running?") from error
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise AdapterNotFound(where, f"{reason}: is the server running, and its address right?") from error


def has_ended(bus: object) -> bool:
    """The server has closed the connection of this bus of python-can, and all it sent was read."""
    connection = getattr(bus, "_SocketCanDaemonBus__socket", None)
    if connection is None:
        return False
    try:
        return bool(select.select([connection], [], [], 0)[0]) and not connection.recv(1, socket.MSG_PEEK)
    except (OSError, ValueError):  # reset by the server, or closed here
        return True


def _answer(connection: socket.socket) -> bytes:
    """Up to the first ``>``, or what came before the end."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while b">" not in got and len(got) < _MAX_ANSWER and (data := connection.recv(256)):
            got += data
    return got


def _shown(answer: bytes) -> str:
    text = re.sub(r"^< (error )?| >$", "", answer.decode("ascii", "replace").strip())
    return repr(text[:80]) if text else "nothing"
