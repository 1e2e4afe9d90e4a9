"""The last sentence for the artist, and everybody who wants to hear when something changed."""

from typing import Callable, List

Observer = Callable[[], None]


class Notice:
    """`message` is empty when there is nothing to say."""

    def __init__(self) -> None:
        self.message = ""
        self._observers: List[Observer] = []

    def say(self, sentence: str) -> None:
        """Shows the sentence in place of the last one, also if that is the same: then anew."""
        if sentence == self.message:
            self.message = ""  # observers see the old one go
            self.changed()
        self.message = sentence
        self.changed()

    def changed(self) -> None:
        """Calls every observer."""
        for observer in list(self._observers):
            observer()

    def subscribe(self, observer: Observer) -> None:
        self._observers.append(observer)

    def unsubscribe(self, observer: Observer) -> None:
        if observer in self._observers:
            self._observers.remove(observer)
