"""The connection file: where a service listens and the keys it takes, readable by its owner only.

On POSIX the file has mode 0600. On Windows the standard library gives rights to new folders only: the file has
those of its folder, which is made for the user (and administrators) alone if it is missing, from Python
3.9.20, 3.10.15, 3.11.10, 3.12.4 or 3.13 on. In the user's profile they are the user's own anyway.
"""

import contextlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Dict

from . import disk, process
from .errors import ProtocolError


@dataclass(frozen=True)
class Endpoint:
    """All that a client needs: the address, the service's public key and a key pair that it allows.

    Keys are Z85 text of 40 characters. `pid` and `started` name the service's process on this machine
    (0 and empty if it runs on another); `instance` is unique to each start. `exchange` is the folder for
    big buffers, empty where there is none.
    """

    address: str
    server_public: str
    client_public: str
    client_secret: str
    pid: int = 0
    started: str = ""
    instance: str = ""
    exchange: str = ""

    @property
    def alive(self) -> bool:
        """False if the service that wrote this ended, however it ended; True for another machine's."""
        return self.pid == 0 or (bool(self.started) and process.started(self.pid) == self.started)

    @classmethod
    def read(cls, path: os.PathLike) -> "Endpoint":
        """Raises OSError if there is no such file, ProtocolError if it is not a connection file."""
        data = read_json(path)
        types = {item.name: item.type for item in fields(cls)}
        known = {name: value for name, value in data.items() if name in types}
        try:
            endpoint = cls(**known)
        except TypeError:
            raise ProtocolError(f"{path} is not a connection file of Painterly.") from None
        if not all(isinstance(getattr(endpoint, name), kind) for name, kind in types.items()):
            raise ProtocolError(f"{path} is a damaged connection file.")
        return endpoint

    def write(self, path: os.PathLike) -> None:
        """Replaces the file in one step, so that no reader ever sees half of it."""
        write_private_json(path, asdict(self))


def read_json(path: os.PathLike) -> Dict[str, Any]:
    """The JSON object in a small file; raises OSError or ProtocolError."""
    text = Path(path).read_bytes()
    try:
        data = json.loads(text.decode("utf-8"))
    except ValueError:
        raise ProtocolError(f"{path} is not a JSON file.") from None
    if not isinstance(data, dict):
        raise ProtocolError(f"{path} does not hold a JSON object.")
    return data


def write_private_json(path: os.PathLike, data: Dict[str, Any]) -> None:
    """Writes `data` owner-only and in one step; makes the folder, owner-only too, if it is missing."""
    target = Path(path)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp makes the file with mode 0600 from the first moment on.
    handle, temporary = tempfile.mkstemp(prefix=target.name, suffix=".new", dir=str(target.parent))
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(data, file, indent=1)
            disk.flush(file)
        os.replace(temporary, str(target))
    except BaseException:
        with contextlib.suppress(OSError):  # what went wrong first is to be told
            os.unlink(temporary)
        raise
