"""The reference client of a Painterly service; the only file of the plugin that imports zmq.

Works without Krita and Qt: call `poll()` from a timer (10 to 20 ms while a job runs) and handle what it
returns, or `wait()` where blocking is fine. Lost connections are made anew and unfinished jobs found
again by their ids; nothing here blocks but `wait` and `greeting`.
"""

import math
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional

from .protocol import codec, messages
from .protocol.endpoint import Endpoint
from .protocol.errors import ProtocolError
from .protocol.exchange import Exchange
from .protocol.messages import Message
from .translation import tr

try:
    import zmq
except ImportError as missing:  # a wheel for another Python says so only when imported
    zmq = None
    _ZMQ_MISSING = str(missing)

CONNECTING, CONNECTED, LOST, CLOSED = "connecting", "connected", "lost", "closed"

PING_EVERY = 2.0  # seconds between pings while poll() is called
LOST_AFTER = 15.0  # seconds without an answer to one
SLOWEST_LINE = 125_000  # bytes a second, by which a Ping may wait behind the pixels of a job
LOOK_EVERY = 0.05  # seconds between looks around while wait() and greeting() wait
ALIVE_EVERY = 1.0  # seconds between questions whether the service lives; on macOS each starts a program
_LINGER_MS = 300  # for last words (Ack, Shutdown) when closing
_POLL_AT_MOST = 64  # messages a call, so that a flood cannot hold up the caller's event loop


class ConnectionProblem(Exception):
    """No service could be talked to; the message is one sentence for the artist."""


class Connection:
    """One client's line to one service.

    `state` is "connecting" (no answer yet), "connected", "lost" (no answer for LOST_AFTER seconds; still
    trying) or "closed". `welcome` is the service's answer, None until it came. `problem` is the service's
    last word about the connection itself (a `Failed` without a job), None if all is well.
    """

    def __init__(self, endpoint: Endpoint, client: str = "Painterly"):
        _need_zmq()
        self.state = CONNECTING
        self.welcome: Optional[messages.Welcome] = None
        self.problem: Optional[messages.Failed] = None
        self._endpoint = endpoint
        self._client = client
        self._exchange = Exchange(endpoint.exchange) if endpoint.exchange else None
        # Jobs without a last word; the request itself until the service says that it has it.
        self._unfinished: Dict[str, Optional[messages.Harmonize]] = {}
        self._cancelled: Dict[str, messages.Cancel] = {}
        self._put_back: List[Message] = []
        self._token = 0
        self._asked = self._heard = time.monotonic()
        self._context = zmq.Context()
        self._socket = None
        self._connect()

    @classmethod
    def open(cls, path: Path, client: str = "Painterly") -> "Connection":
        """A connection to the service whose connection file is `path`; raises ConnectionProblem."""
        _need_zmq()  # without it there are none of its errors to catch either
        try:
            endpoint = Endpoint.read(path)
        except (OSError, ProtocolError) as error:
            raise ConnectionProblem(
                tr("The connection file cannot be read: {problem}", problem=error)
            ) from None
        if not endpoint.alive:
            raise ConnectionProblem(tr("The service that wrote {path} has ended: start it again.", path=path))
        try:
            return cls(endpoint, client)
        except (zmq.ZMQError, ValueError) as error:  # an address or a key that is none
            raise ConnectionProblem(
                tr("The connection file {path} is damaged: {problem}", path=path, problem=error)
            ) from None

    def __del__(self) -> None:
        """One that was dropped unclosed must not freeze its program: libzmq would wait for its messages."""
        if getattr(self, "_socket", None) is not None:
            self.close()

    def submit(self, job: messages.Harmonize) -> None:
        """Sends the job; its pixels may be on their way uncopied until its Accepted or Failed came.

        One that cannot be sent raises, and is not sent with the next greeting either.
        """
        self._unfinished[job.job] = job
        try:
            self._send(job)
        except Exception:
            del self._unfinished[job.job]
            raise

    def cancel(self, job: str, keep_best: bool = False) -> None:
        self._cancelled[job] = messages.Cancel(job, keep_best)
        self._send(self._cancelled[job])

    def acknowledge(self, job: str) -> None:
        """Tells the service that this job's last word is in safe hands, so that it may forget it."""
        self._unfinished.pop(job, None)
        self._send(messages.Ack(job))

    def resume(self, *jobs: str) -> None:
        """Asks for jobs of an earlier connection; each answers with Accepted, its last word or Failed."""
        self._unfinished.update((job, None) for job in jobs)
        self._send(messages.Resume(jobs))

    def shut_down_service(self) -> None:
        self._send(messages.Shutdown())

    def poll(self, timeout: float = 0.0) -> List[Message]:
        """What the service said since the last call; waits up to `timeout` seconds for a first message.

        Pings, reconnects and repeated greetings are dealt with in here. Never raises for what a peer
        sends: a reply that breaks the contract becomes `problem`.
        """
        if self.state == CLOSED:
            return []
        news, self._put_back = self._put_back, []
        if self._socket.poll(0 if news else int(timeout * 1000)):
            for _ in range(_POLL_AT_MOST):
                message = self._receive()
                if message is None:
                    break
                if self._concerns_caller(message):
                    news.append(message)
        self._keep_alive()
        return news

    def wait(
        self,
        job: str,
        on_message: Callable[[Message], None] = lambda message: None,
        timeout: float = float("inf"),
        on_look: Callable[[], None] = lambda: None,
    ) -> Message:
        """Blocks until the job's last word and returns it; every other message goes to `on_message`.

        `on_look` is called all the while, every LOOK_EVERY seconds at least. Raises ConnectionProblem if the
        service stays silent for LOST_AFTER seconds or has ended, or if `timeout` seconds pass.
        """
        for news in self._listen(timeout, on_look):
            for number, message in enumerate(news):
                if isinstance(message, messages.LAST_WORDS) and message.job == job:
                    self._put_back = news[number + 1 :]
                    return message
                on_message(message)
        raise ConnectionProblem(tr("The job did not end within {seconds:g} seconds.", seconds=timeout))

    def greeting(self, on_look: Callable[[], None] = lambda: None) -> messages.Welcome:
        """Blocks until `welcome` came and returns it; all news until then are kept for `poll`.

        `on_look` and ConnectionProblem as in `wait`; it is raised for a `problem` too.
        """
        listening, heard = self._listen(float("inf"), on_look), []
        while self.welcome is None:
            heard += next(listening)
            if self.problem is not None:
                raise ConnectionProblem(self.problem.message)
        self._put_back += heard
        return self.welcome

    def close(self) -> None:
        """Ends the connection; the service keeps this client's jobs for a while."""
        if self.state != CLOSED:
            self.state = CLOSED
            self._socket.close(linger=_LINGER_MS)
            self._context.term()

    def _listen(self, timeout: float, on_look: Callable[[], None]) -> Iterator[List[Message]]:
        """What `poll` returns, again and again for `timeout` seconds; raises as `wait` does."""
        end = time.monotonic() + timeout
        asked = -math.inf
        while time.monotonic() < end:
            news = self.poll(LOOK_EVERY)
            on_look()
            yield news
            now, lost = time.monotonic(), self.state == LOST
            if not lost and now - asked >= ALIVE_EVERY:
                asked, lost = now, not self._endpoint.alive
            if lost:
                raise ConnectionProblem(
                    tr("The service does not answer: it has ended or does not take this key.")
                )

    def _connect(self) -> None:
        if self._socket is not None:
            # Not at once: libzmq aborts the process if the line breaks while a half-sent message is dropped.
            self._socket.close(linger=_LINGER_MS)
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = _LINGER_MS
        # Only for an address in numbers: by name, libzmq would then choose IPv6 where the service has only IPv4.
        self._socket.ipv6 = "[" in self._endpoint.address
        self._socket.curve_serverkey = self._endpoint.server_public.encode("ascii")
        self._socket.curve_publickey = self._endpoint.client_public.encode("ascii")
        self._socket.curve_secretkey = self._endpoint.client_secret.encode("ascii")
        self._socket.maxmsgsize = codec.REPLY_LIMITS.frame
        self._socket.connect(self._endpoint.address)
        self._greet()

    def _greet(self) -> None:
        """Says Hello and takes up the unfinished jobs where they were."""
        self._send(messages.Hello(self._client, shares=self._exchange is not None))
        there = tuple(job for job, request in self._unfinished.items() if request is None)
        if there:
            self._send(messages.Resume(there))
        for request in [request for request in self._unfinished.values() if request is not None]:
            self._send(request)
        for cancel in list(self._cancelled.values()):
            self._send(cancel)

    def _send(self, message: Message) -> None:
        try:
            frames = codec.encode(message, self._exchange)
            self._socket.send_multipart(frames, flags=zmq.DONTWAIT, copy=False)
        except zmq.Again:
            raise ConnectionProblem(
                tr("The service takes no more messages: it has ended, hangs or does not take this key.")
            ) from None

    def _receive(self) -> Optional[Message]:
        """The next message, None if there is none; what breaks the contract becomes a `Failed`."""
        try:
            frames = self._socket.recv_multipart(flags=zmq.DONTWAIT, copy=False)
        except zmq.Again:
            return None
        self._heard = time.monotonic()
        try:
            return codec.decode_reply([frame.buffer for frame in frames], self._exchange)
        except ProtocolError as error:
            kind = messages.VERSION if error.kind == "version" else messages.PROTOCOL
            return messages.Failed("", kind, str(error))

    def _concerns_caller(self, message: Message) -> bool:
        """Deals with what is only about the connection; true if the caller should see `message`."""
        if isinstance(message, messages.Ping):
            self._send(messages.Pong(message.token))
            return False
        if isinstance(message, messages.Pong):
            return False
        if isinstance(message, messages.Welcome):
            self.state, self.welcome, self.problem = CONNECTED, message, None
        if isinstance(message, messages.Failed) and message.kind == messages.NOT_GREETED:
            self._greet()
            return False
        if isinstance(message, messages.Failed) and not message.job:
            self.problem = message
        if isinstance(message, messages.Accepted) and message.job in self._unfinished:
            self._unfinished[message.job] = None
        if isinstance(message, messages.LAST_WORDS):
            self._unfinished.pop(message.job, None)
            self._cancelled.pop(message.job, None)
        return True

    def _keep_alive(self) -> None:
        """Pings after a silence; one unanswered for LOST_AFTER seconds, and the time that pixels before it may take, means
        a new socket."""
        now = time.monotonic()
        if self._asked <= self._heard:
            if now - self._heard > PING_EVERY:
                self._token += 1
                self._asked = now
                self._send(messages.Ping(self._token))
        elif now - self._asked > LOST_AFTER + self._bytes_on_their_way() / SLOWEST_LINE:
            self.state = LOST
            self._asked = self._heard = now
            self._connect()

    def _bytes_on_their_way(self) -> int:
        """Of requests that the service has not accepted, where a line carries them; a Ping waits behind them."""
        if self._exchange is not None:
            return 0
        requests = [request for request in self._unfinished.values() if request is not None]
        placed = [
            each for request in requests for each in (request.layer, request.selection) if each is not None
        ]
        rasters = [request.painting for request in requests] + [each.raster for each in placed]
        return sum(len(raster.data) for raster in rasters)


def _need_zmq() -> None:
    if zmq is None:
        raise ConnectionProblem(
            tr("ZeroMQ for this Python is missing ({problem}): run install.py again.", problem=_ZMQ_MISSING)
        )
