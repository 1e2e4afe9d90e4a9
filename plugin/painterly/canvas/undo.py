"""One Ctrl+Z takes back a whole result.

Adding a layer is one step of Krita's undo history; hiding one is none, and removing another layer is a
second step. A history lives no longer than Krita does, so it can be followed: whenever it moves, each
result's original is brought in line with it.

- Original hidden: it is visible again when undo took the result away, and hidden when redo brings it.
- Original removed: undo and redo go one step on from the middle, where both layers are there.
"""

from dataclasses import dataclass
from typing import List

from krita import Document, Krita

from ..qt import QtCore, QtWidgets
from . import documents
from .documents import Documents

LOOK_MS, LOOKS = 40, 12
# Further looks while a step is half done: Krita ignores undo and redo while it renders.
PATIENCE = 250


@dataclass
class Swap:
    """A result in place of its original (unique ids); `shown` is whether it was there when last seen."""

    original: str
    result: str
    removed: bool
    shown: bool = True


class UndoFollower(QtCore.QObject):
    """Watches the undo history of each window's active document; without windows it does nothing."""

    def __init__(self, open_documents: Documents):
        super().__init__()
        self._documents = open_documents
        self._swaps = {}  # type: dict
        self._views: List[QtWidgets.QListView] = []
        self._looks_left = 0
        self._in_the_middle = False
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self._look)

    def watch(self, key: str, swap: Swap) -> None:
        self._attach()
        self._swaps.setdefault(key, []).append(swap)

    def _attach(self) -> None:
        """Find the history views (there is one a window, also when its docker is closed)."""
        # Only list views are asked for: touching every object of the window from Python crashes Krita.
        for window in Krita.instance().windows():
            for view in window.qwindow().findChildren(QtWidgets.QListView):
                if view.metaObject().className() == "KisUndoView" and view not in self._views:
                    self._views.append(view)
                    view.model().modelReset.connect(self._history_moved)
                    view.destroyed.connect(self._forget_views)

    @QtCore.pyqtSlot()
    def _forget_views(self) -> None:
        """A window was closed: the others' views are found again with the next result."""
        self._views = []

    @QtCore.pyqtSlot()
    def _history_moved(self) -> None:
        # Krita says so before, during and after a step: look until it has certainly settled.
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
            document = self._documents.find(key)
            present = _present(document)
            for swap in self._swaps[key]:
                if swap.removed:
                    self._follow_removed(document, swap, present)
                else:
                    self._follow_hidden(document, swap, present)

    def _follow_hidden(self, document: Document, swap: Swap, present: set) -> None:
        shown = swap.result in present
        # An original that is itself a result may be undone too: it is brought in line when it is back.
        if shown == swap.shown or swap.original not in present:
            return
        swap.shown = shown
        # Deleted or merged by hand is a step forward, not back: then the original stays as it is.
        if shown or self._can_redo():
            original = documents.need_node(document, swap.original)
            document.waitForDone()  # what the step itself made Krita render would come too late
            original.setVisible(not shown)
            document.refreshProjection()

    def _follow_removed(self, document: Document, swap: Swap, present: set) -> None:
        both = {swap.original, swap.result}
        if both <= present:
            # A step moves the history at once but changes the layers when Krita gets round to it: without
            # waiting, a slow step looks half done and the next one would be taken back too.
            document.waitForDone()
            present = _present(document)
        if both <= present:
            self._in_the_middle = True
            if document == Krita.instance().activeDocument():
                self._finish_step(swap)
        elif both & present:
            swap.shown = swap.result in present

    def _finish_step(self, swap: Swap) -> None:
        """Goes on in the direction of the step; ignored while Krita renders, then the next look asks again."""
        before = self._rows()
        Krita.instance().action("edit_undo" if swap.shown else "edit_redo").trigger()
        if self._rows() != before:
            # Noted now, not when it is seen: the artist's next step may come before the next look.
            swap.shown = not swap.shown

    def _rows(self) -> List[int]:
        """Where each window's history stands."""
        return [view.currentIndex().row() for view in self._views]

    def _can_redo(self) -> bool:
        return any(view.currentIndex().row() < view.model().rowCount() - 1 for view in self._views)


def _present(document: Document) -> set:
    """The unique ids of all nodes in the document."""
    return {documents.node_id(node) for node in documents.walk(document.rootNode())}
