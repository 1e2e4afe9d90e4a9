"""Tab and Shift+Tab inside the docker, where Krita and Qt have other plans for them."""

from .qt import QtCore, QtWidgets

_TABS = (QtCore.Qt.Key.Key_Tab, QtCore.Qt.Key.Key_Backtab)


class Tabbed(QtWidgets.QWidget):
    """A widget in a docker whose contents Tab and Shift+Tab reach one after another.

    Before any shortcut Qt asks the focused widget and its parents whether they want the key for
    themselves: unanswered, Tab is Krita's shortcut that hides all dockers.
    """

    def __init__(self):
        super().__init__()
        self.installEventFilter(self)  # an own `event` is also called while Krita takes the window apart

    def eventFilter(self, watched, event):
        """Qt calls this for each event of this widget; true if it is dealt with."""
        if event.type() == QtCore.QEvent.Type.ShortcutOverride and event.key() in _TABS:
            event.accept()
            return True
        return False

    def focusNextPrevChild(self, forward):
        """Qt calls this for Tab (true) and Shift+Tab (false); false if there is nowhere to go.

        Backwards, Qt's own search never leaves the picture's window once it has come through it, wherever it
        began; Krita has one, so the way back is walked here.
        """
        start = QtWidgets.QApplication.focusWidget()
        if forward or start is None or not self.isAncestorOf(start):
            return super().focusNextPrevChild(forward)
        widget = start.previousInFocusChain()
        while widget is not start and not (self.isAncestorOf(widget) and reached_by_tab(widget)):
            widget = widget.previousInFocusChain()
        widget.setFocus(QtCore.Qt.FocusReason.BacktabFocusReason)
        return widget is not start


def reached_by_tab(widget) -> bool:
    """Whether Tab stops at this widget as it is now."""
    tab = QtCore.Qt.FocusPolicy.TabFocus
    able = widget.isVisible() and widget.isEnabled() and widget.focusProxy() is None
    return able and widget.focusPolicy() & tab == tab
