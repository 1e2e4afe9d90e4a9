"""The session's line to the backend: started on first use, watched, started again after it died."""

import contextlib
import os
import threading
from pathlib import Path
from typing import Callable, List, Optional

from . import connection as line
from .connection import Connection, ConnectionProblem
from .job import Problem
from .launcher import Launcher
from .protocol import messages
from .protocol.messages import Message
from .translation import tr

STOPPED, STARTING, READY, LOST = "stopped", "starting", "ready", "lost"


class BackendLink:
    """`state` is one of the words above; `why` says why it is stopped, `device` where it computes.

    With `connection_file` (a backend elsewhere) nothing is started; `elsewhere` is asked at each start.
    """

    def __init__(self, launcher: Launcher, elsewhere: Callable[[], str] = lambda: "", client: str = "Krita"):
        self.state = STOPPED
        self.why = ""
        self.device = {}  # type: dict
        self.worker = ""
        self._launcher = launcher
        self._elsewhere = elsewhere
        self._client = client
        self._connection: Optional[Connection] = None
        self._remote = ""  # the connection file of a backend elsewhere that is in use
        self._handing_over: Optional[threading.Thread] = None
        self._refused: List[messages.Failed] = []  # the thread's
        self._to_say: List[Callable[[Connection], None]] = []

    @property
    def ready(self) -> bool:
        return self.state == READY

    @property
    def log_tail(self) -> str:
        return "" if self._remote else self._launcher.log_tail()

    def start(self, busy: bool = False) -> None:
        """Begins to start or to connect unless that is done; raises Problem.

        Another connection file chosen meanwhile counts from here on, unless the link is `busy` with jobs.
        """
        wanted = self._elsewhere()
        stays = busy or wanted == self._remote
        if stays and self.state != STOPPED and (self._remote or self._launcher.running):
            return
        self.stop()
        self.why, self.worker, self.device = "", "", {}
        self._remote = wanted
        try:
            if self._remote:
                self._open(Path(os.path.expanduser(self._remote)))
            else:
                self._launcher.start()
        except Problem as problem:
            self._fail(str(problem))
            raise
        self.state = STARTING

    def poll(self) -> List[Message]:
        """Says what is to be said and returns news for the session; raises Problem when the backend has ended."""
        try:
            if self.state == STARTING and self._connection is None:
                path = self._launcher.endpoint_file()
                if path is None:
                    return []
                self._open(path)
            if self._connection is None:
                return []
            if self._handing_over is not None and self._handing_over.is_alive():
                return []  # a connection belongs to one thread at a time
            self._handing_over = None
            if self._connection.problem is not None:
                raise Problem(self._connection.problem.message)
            if not self._remote and not self._launcher.running:
                raise Problem(
                    tr("The backend ended unexpectedly: {words}", words=self._launcher.last_words())
                )
            self._say_all()
            news = [message for message in self._connection.poll() if self._is_for_session(message)]
            self._look_at_line()
            refused, self._refused = self._refused, []
            return refused + news
        except ConnectionProblem as problem:
            self._fail(str(problem))
            raise Problem(str(problem)) from None
        except Problem as problem:
            self._fail(str(problem))
            raise

    def submit(self, request: messages.Harmonize) -> None:
        """Hands over a job. Large pixels are written in a thread; until they are, `poll` has no news."""
        connection, before = self._connection, self._handing_over

        def hand_over() -> None:
            if before is not None:
                before.join()
            try:
                connection.submit(request)
            except Exception as problem:
                # Whatever it is, nobody else hears of it, and the job would wait for ever.
                words = str(problem) or type(problem).__name__
                sentence = tr(
                    "The job could not be handed to the backend ({problem}): harmonize again.", problem=words
                )
                self._refused.append(messages.Failed(request.job, messages.INTERNAL, sentence))

        if connection is not None:
            self._handing_over = threading.Thread(target=hand_over, daemon=True)
            self._handing_over.start()

    def cancel(self, job: str) -> None:
        """Said by the next `poll` that finds everything handed over."""
        self._to_say.append(lambda open_line: open_line.cancel(job))

    def acknowledge(self, job: str) -> None:
        """As `cancel`."""
        self._to_say.append(lambda open_line: open_line.acknowledge(job))

    def stop(self) -> None:
        """Ends the backend that was started here, and the connection."""
        self._wait_for_thread()
        self.state = STOPPED
        if self._connection is not None:
            # A backend elsewhere should not go on with what was cancelled. A broken line is just dropped.
            for last in (self._say_all, self._connection.close):
                with contextlib.suppress(Exception):
                    last()
            self._connection = None
        self._to_say = []
        self._launcher.stop()

    def _open(self, path: Path) -> None:
        try:
            self._connection = Connection.open(path, self._client)
        except ConnectionProblem as problem:
            raise Problem(str(problem)) from None

    def _wait_for_thread(self) -> None:
        if self._handing_over is not None:
            self._handing_over.join()
            self._handing_over = None
        self._refused = []

    def _say_all(self) -> None:
        waiting, self._to_say = self._to_say, []
        for action in waiting:
            action(self._connection)

    def _is_for_session(self, message: Message) -> bool:
        """Keeps the state up to date; true for what is about a job."""
        if isinstance(message, (messages.Welcome, messages.Status)):
            self.worker = message.worker
            self.device = message.device
            self.why = getattr(message, "message", "")
        return bool(getattr(message, "job", ""))

    def _look_at_line(self) -> None:
        """Silence is no message: it shows in the connection only. Raises Problem if nobody ever answered."""
        if self._connection.state == line.CONNECTED:
            self.state = READY
        elif self._connection.state == line.LOST:
            if self._connection.welcome is None:
                raise Problem(
                    tr("The backend does not answer: is it running, and is this its connection file?")
                )
            self.state = LOST

    def _fail(self, why: str) -> None:
        self.stop()
        self.why = why
