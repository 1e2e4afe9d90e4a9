"""The connections of clients: who they are, and sending to them without ever waiting."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Callable, Iterator, Sequence

import zmq

from backend.service.keys import DoorKeeper, KeyPair
from plugin.painterly.protocol import codec, messages
from plugin.painterly.protocol.messages import Message
from plugin.painterly.protocol.raster import Buffer

_DOMAIN = "clients"
# Frames of a message that are looked at; a longer one is refused whatever it holds.
_FRAMES = codec.REQUEST_LIMITS.frames + 1
_WAITING_MESSAGES = 64  # a client that sends more than is read waits in its own socket
HEARTBEAT_MS = 5_000, 20_000  # between two, and of silence until a connection is given up
_FORGET_SECONDS = 3600.0


@dataclass
class Peer:
    """One greeted connection. `owner` is its key, `shares` whether it reads the exchange folder.

    `number` counts greetings: of two connections of one client the later one has the higher.
    """

    id: bytes
    owner: str
    shares: bool
    number: int
    heard_at: float = field(default_factory=time.monotonic)


class Peers:
    """The ROUTER socket and the clients behind it."""

    def __init__(
        self, context: zmq.Context, door: DoorKeeper, own: KeyPair, allows: Callable[[str], bool], bind: str
    ):
        self.socket = context.socket(zmq.ROUTER)
        self.socket.router_mandatory = True  # sending to a client that left says so
        self.socket.maxmsgsize = codec.REQUEST_LIMITS.frame
        self.socket.rcvhwm = _WAITING_MESSAGES
        self.socket.heartbeat_ivl, self.socket.heartbeat_timeout = HEARTBEAT_MS
        self.socket.linger = 1000
        self.socket.ipv6 = "[" in bind
        door.guard(self.socket, _DOMAIN, own, allows)
        self.socket.bind(bind)
        self._peers: dict[bytes, Peer] = {}
        self._greetings = 0

    @property
    def address(self) -> str:
        return self.socket.last_endpoint.decode("ascii")

    def __iter__(self) -> Iterator[Peer]:
        return iter(list(self._peers.values()))

    def get(self, peer_id: bytes | None) -> Peer | None:
        return self._peers.get(peer_id)

    def greet(self, peer_id: bytes, owner: str, hello: messages.Hello, may_share: bool) -> Peer:
        self._greetings += 1
        peer = Peer(peer_id, owner, hello.shares and may_share, self._greetings)
        self._peers[peer_id] = peer
        return peer

    def receive(self) -> tuple[bytes, str, list[Buffer]] | None:
        """Sender, its key, and the frames of the next message; None if there is none.

        Keeps no more frames than a valid message has, however many come.
        """
        try:
            first = self.socket.recv(zmq.DONTWAIT, copy=False)
        except zmq.Again:
            return None
        frames: list[Buffer] = []
        more = first.more
        while more:
            frame = self.socket.recv(zmq.DONTWAIT, copy=False)
            more = frame.more
            if len(frames) < _FRAMES:
                frames.append(frame.buffer)
        peer = self._peers.get(first.bytes)
        if peer is not None:
            peer.heard_at = time.monotonic()
        return first.bytes, first.get("User-Id"), frames

    def send(self, peer_id: bytes | None, frames: Sequence[Buffer]) -> bool:
        """False if the client has left (it is forgotten then) or does not take any more for now."""
        if peer_id is None:
            return False
        try:
            self.socket.send_multipart([peer_id, *frames], flags=zmq.DONTWAIT, copy=False)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self._peers.pop(peer_id, None)
            return False
        return True

    def say(self, peer_id: bytes | None, message: Message) -> None:
        """Sends a small message that may be lost with its client."""
        self.send(peer_id, codec.encode(message))

    def forget_silent(self) -> None:
        horizon = time.monotonic() - _FORGET_SECONDS
        self._peers = {key: peer for key, peer in self._peers.items() if peer.heard_at > horizon}

    def close(self) -> None:
        self.socket.close()
