"""One Ctrl+Z takes back a whole result.

Adding a layer is one step of Krita's undo history; hiding one is none, and removing another layer is a
second step. A history lives no longer than Krita does, so it can be followed: whenever it moves, each
result's original is brought in line with it.

- Original hidden: it is visible again when undo took the result away, and hidden when redo brings it.
- Original removed: undo and redo go one step on from the middle, where both layers are there.
"""

from dataclasses import dataclass
from typing import Dict, List, NamedTuple, Optional, Set

from krita import Document, Krita, Window

from ..qt import QtCore, QtWidgets
from . import documents
from .documents import Documents

LOOK_MS, LOOKS = 40, 12
# Further looks while a step is half done: Krita ignores undo and redo while it renders.
PATIENCE = 250
UNDO, REDO = "edit_undo", "edit_redo"


@dataclass
class Swap:
    """A result in place of its original (unique ids); `shown` is whether it was there when last seen.

    It is `over` once no step of the history is known to bring the two in line any more.
    """

    original: str
    result: str
    removed: bool
    shown: bool = True
    over: bool = False


class _History(NamedTuple):
    """A document's undo history, as a window that has the document in front lists it."""

    document: Document
    view: QtWidgets.QListView

    @property
    def row(self) -> int:
        """Where it stands; 0 is its beginning."""
        return self.view.currentIndex().row()

    @property
    def last_row(self) -> int:
        return self.view.model().rowCount() - 1

    def present(self) -> Set[str]:
        """The unique ids of all nodes in the document."""
        return {documents.node_id(node) for node in documents.walk(self.document.rootNode())}


class UndoFollower(QtCore.QObject):
    """Watches the undo history of each window's active document; without windows it does nothing."""

    def __init__(self, open_documents: Documents):
        super().__init__()
        self._documents = open_documents
        self._swaps: Dict[str, List[Swap]] = {}
        self._views: Dict[QtWidgets.QListView, Window] = {}
        self._looks_left = 0
        self._in_the_middle = False
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self._look)

    def watch(self, key: str, swap: Swap) -> None:
        self._attach()
        self._swaps.setdefault(key, []).append(swap)

    @QtCore.pyqtSlot()
    def _attach(self) -> None:
        """Find the history views (there is one a window, also when its docker is closed)."""
        windows, known = Krita.instance().windows(), list(self._views.values())
        if windows and not known:
            Krita.instance().notifier().windowCreated.connect(self._attach)
        for window in windows:
            if any(window == other for other in known):
                continue  # a search takes some 70 ms
            # Only list views are asked for: touching every object of the window from Python crashes Krita.
            for view in window.qwindow().findChildren(QtWidgets.QListView):
                if view.metaObject().className() == "KisUndoView":
                    self._views[view] = window
                    view.model().modelReset.connect(self._history_moved)
                    view.destroyed.connect(lambda *_, gone=view: self._views.pop(gone, None))

    def _history(self, document: Document) -> Optional[_History]:
        """None if no window has the document in front."""
        for view, window in self._views.items():
            front = window.activeView()
            if front is not None and front.document() == document:
                return _History(document, view)
        return None

    @QtCore.pyqtSlot()
    def _history_moved(self) -> None:
        # Krita says so before, during and after a step, and when another document comes to the front: look
        # until it has certainly settled.
        self._looks_left = LOOKS + PATIENCE
        self._timer.start(LOOK_MS)

    def _look(self) -> None:
        self._looks_left -= 1
        if self._looks_left <= 0 or (self._looks_left < PATIENCE and not self._in_the_middle):
            self._timer.stop()
        self._in_the_middle = False
        for key in list(self._swaps):
            if not self._documents.is_open(key):
                del self._swaps[key]
                continue
            history = self._history(self._documents.find(key))
            if history is None:
                continue  # looked at when it comes to the front
            present = history.present()
            for swap in list(self._swaps[key]):
                if swap.removed:
                    self._follow_removed(history, swap, present)
                else:
                    _follow_hidden(history, swap, present)
            self._swaps[key] = [swap for swap in self._swaps[key] if not swap.over]

    def _follow_removed(self, history: _History, swap: Swap, present: Set[str]) -> None:
        both = {swap.original, swap.result}
        if both <= present:
            # A step moves the history at once but changes the layers when Krita gets round to it: without
            # waiting, a slow step looks half done and the next one would be taken back too.
            history.document.waitForDone()
            present = history.present()
        if both <= present:
            self._in_the_middle = True
            if history.document == Krita.instance().activeDocument():
                _finish_step(history, swap)
        elif both & present:
            swap.shown = swap.result in present


def _follow_hidden(history: _History, swap: Swap, present: Set[str]) -> None:
    shown = swap.result in present
    # An original that is itself a result may be undone too: it is brought in line when it is back.
    if shown == swap.shown or swap.original not in present:
        return
    swap.shown = shown
    # Deleted or merged by hand is a step forward, not back: then the original stays as it is.
    if shown or history.row < history.last_row:
        original = documents.need_node(history.document, swap.original)
        history.document.waitForDone()  # what the step itself made Krita render would come too late
        original.setVisible(not shown)
        history.document.refreshProjection()


def _finish_step(history: _History, swap: Swap) -> None:
    """Goes on in the direction of the step; ignored while Krita renders, then the next look asks again."""
    onward, back, end = (UNDO, REDO, 0) if swap.shown else (REDO, UNDO, history.last_row)
    before = history.row
    if before == end:
        # The oldest steps leave a long history: the result's adding did, so both layers stay. (Krita's
        # actions never say whether there is something to undo.)
        swap.over = True
        return
    Krita.instance().action(onward).trigger()
    if history.row == before:
        return
    # Noted now, not when it is seen: the artist's next step may come before the next look.
    swap.shown = not swap.shown
    history.document.waitForDone()
    if {swap.original, swap.result} <= history.present():
        # Another step lay between the two: it is the artist's and is given back.
        Krita.instance().action(back).trigger()
        swap.over = True
