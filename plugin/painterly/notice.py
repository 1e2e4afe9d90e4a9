"""The last sentence for the artist, and everybody who wants to hear when something changed."""

import traceback
from typing import Callable, List

from .tasks import fault

Observer = Callable[[], None]


class Notice:
    """`message` is empty when there is nothing to say; `fault` is the trace of an observer that failed last.

    `count` grows with each sentence that is news: for who shows it only for a moment.
    """

    def __init__(self) -> None:
        self.count = 0
        self.fault = ""
        self._message = ""
        self._observers: List[Observer] = []

    @property
    def message(self) -> str:
        return self._message

    @message.setter
    def message(self, sentence: str) -> None:
        """The same again is no news."""
        if sentence != self._message:
            self._message, self.count = sentence, self.count + 1

    def say(self, sentence: str) -> None:
        """Shows the sentence in place of the last one, also if that is the same: then anew."""
        self._message, self.count = sentence, self.count + 1
        self.changed()

    def restore(self, sentence: str) -> None:
        """Shows an earlier sentence again, which is no news; the caller then tells of the change."""
        self._message = sentence

    def changed(self) -> None:
        """Calls every observer; one that fails harms neither the others nor who brought the news."""
        for observer in list(self._observers):
            try:
                observer()
            except Exception:
                self._note(traceback.format_exc())

    def _note(self, trace: str) -> None:
        if not self.fault:  # told once: it may fail at every change
            self.message = fault()
        self.fault = trace

    def subscribe(self, observer: Observer) -> None:
        self._observers.append(observer)

    def unsubscribe(self, observer: Observer) -> None:
        if observer in self._observers:
            self._observers.remove(observer)
