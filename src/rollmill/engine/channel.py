"""Messages between a process and the workers it started: each a pickle behind its length, over a socket. Descriptors of
open files may go along."""

from __future__ import annotations

import pickle
import socket
import struct
from collections.abc import Sequence
from typing import Any

_LENGTH = struct.Struct("!Q")


def send(into: socket.socket, message: Any, descriptors: Sequence[int] = ()) -> None:
    """Send a message whole. Raises ``OSError`` where the other end is gone."""
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    data = _LENGTH.pack(len(data)) + data
    if descriptors:
        data = data[socket.send_fds(into, [data[:1]], descriptors) :]
    into.sendall(data)


def receive(of: socket.socket) -> tuple[Any, list[int]]:
    """The next message and its descriptors, less what this process has no room for. Raises ``EOFError`` or ``OSError``
    where the other end is gone."""
    first, descriptors, _, _ = socket.recv_fds(of, _LENGTH.size, 1)
    (size,) = _LENGTH.unpack(first + _exactly(of, _LENGTH.size - len(first)))
    return pickle.loads(_exactly(of, size)), descriptors


def _exactly(of: socket.socket, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = of.recv(size)
        if not part:
            raise EOFError("the other end is gone")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
