"""Messages between a process and the workers it started: each a pickle behind its length, over a socket."""

from __future__ import annotations

import pickle
import socket
import struct
from typing import Any

_LENGTH = struct.Struct("!Q")


def send(into: socket.socket, message: Any) -> None:
    """Sends a message whole. Raises ``OSError`` where the other end is gone."""
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    into.sendall(_LENGTH.pack(len(data)) + data)


def receive(of: socket.socket) -> Any:
    """The next message. Raises ``EOFError`` or ``OSError`` where the other end is gone."""
    (size,) = _LENGTH.unpack(_exactly(of, _LENGTH.size))
    return pickle.loads(_exactly(of, size))


def _exactly(of: socket.socket, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = of.recv(size)
        if not part:
            raise EOFError("the other end is gone")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
