"""Who may talk to the service: CURVE keys, the list of allowed clients, and the answer to ZeroMQ's question.

Nobody without an allowed key gets a message through: libzmq asks the handler below (ZAP,
https://rfc.zeromq.org/spec/27/) about each new connection before anything of it is read.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

import zmq
from zmq.utils import z85

from plugin.painterly.protocol.endpoint import Endpoint, read_json, write_private_json
from plugin.painterly.protocol.errors import ProtocolError

_ZAP_ADDRESS = "inproc://zeromq.zap.01"


@dataclass(frozen=True)
class KeyPair:
    """A CURVE key pair as Z85 text."""

    public: str
    secret: str = field(repr=False)

    @classmethod
    def new(cls) -> KeyPair:
        public, secret = zmq.curve_keypair()
        return cls(public.decode("ascii"), secret.decode("ascii"))


class KeysFile:
    """The lasting keys of a service for other machines: its own pair and the clients it allows, by name.

    Read again whenever it changed, so a client can be invited or struck out while the service runs.
    """

    def __init__(self, path: Path):
        self.path = path
        if not path.exists():
            own = KeyPair.new()
            write_private_json(
                path, {"server_public": own.public, "server_secret": own.secret, "clients": {}}
            )
        self._stamp = (0, 0)
        self._read()

    @property
    def own(self) -> KeyPair:
        return self._own

    def allows(self, public: str) -> bool:
        """Whether this key is in the file now; nobody's is while the file is missing or damaged."""
        try:
            about = self.path.stat()
            if (about.st_mtime_ns, about.st_ino) != self._stamp:
                self._read()
        except (OSError, ProtocolError) as error:
            print(f"painterly: New clients are refused: {error}", file=sys.stderr, flush=True)
            return False
        return public in self._clients.values()

    def invite(self, address: str, connection_file: Path) -> None:
        """Allows one more client, named after the connection file that is written for it.

        Raises ProtocolError if there is a client of that name: it would be locked out.
        """
        pair, name = KeyPair.new(), connection_file.stem
        data = read_json(self.path)
        if name in data["clients"]:
            raise ProtocolError(
                f"{self.path} has a client {name} already; name the file otherwise, or take that one out."
            )
        # The file first: when it cannot be written, the name is still free.
        Endpoint(address, self.own.public, pair.public, pair.secret).write(connection_file)
        data["clients"][name] = pair.public
        write_private_json(self.path, data)

    def _read(self) -> None:
        about = self.path.stat()
        data = read_json(self.path)
        clients = data.get("clients")
        if not isinstance(clients, dict) or not {"server_public", "server_secret"} <= set(data):
            raise ProtocolError(f"{self.path} is not a keys file of Painterly.")
        self._own = KeyPair(str(data["server_public"]), str(data["server_secret"]))
        self._clients = {str(name): str(key) for name, key in clients.items()}
        self._stamp = (about.st_mtime_ns, about.st_ino)


class DoorKeeper:
    """Answers ZAP requests: one rule (public key -> allowed?) for each domain."""

    def __init__(self, context: zmq.Context):
        self.rules: dict[str, Callable[[str], bool]] = {}
        self.socket = context.socket(zmq.REP)
        self.socket.bind(_ZAP_ADDRESS)

    def answer(self) -> None:
        """Answers one waiting request; the allowed client's key becomes its messages' User-Id."""
        request = self.socket.recv_multipart()
        version, number, domain = request[:3]
        mechanism, credentials = request[5], request[6:]
        user = z85.encode(credentials[0]).decode("ascii") if mechanism == b"CURVE" and credentials else ""
        rule = self.rules.get(domain.decode("utf-8", "replace"))
        allowed = bool(user) and rule is not None and rule(user)
        verdict = [b"200", b"OK", user.encode("ascii")] if allowed else [b"400", b"Unknown key", b""]
        self.socket.send_multipart([version, number, *verdict, b""])

    def guard(self, socket: zmq.Socket, domain: str, own: KeyPair, rule: Callable[[str], bool]) -> None:
        """Makes `socket` take only clients whose key `rule` allows; to be called before it binds."""
        self.rules[domain] = rule
        socket.curve_server = True
        socket.curve_publickey = own.public.encode("ascii")
        socket.curve_secretkey = own.secret.encode("ascii")
        socket.zap_domain = domain.encode("utf-8")

    def close(self) -> None:
        self.socket.close(linger=0)
