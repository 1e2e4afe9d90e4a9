"""As much of PyQt5 as the plugin's canvas imports; nothing of it is ever seen, no event loop runs."""

import types


class QObject:
    def __init__(self, parent=None):
        pass


class Signal:
    """A signal that nobody emits."""

    def connect(self, slot):
        pass


class QTimer(QObject):
    def __init__(self, parent=None):
        self.timeout = Signal()

    def start(self, milliseconds):
        pass

    def stop(self):
        pass


class Qt:
    class MouseButton:
        NoButton = 0


class QApplication:
    @staticmethod
    def mouseButtons():
        return Qt.MouseButton.NoButton


class QCoreApplication:
    @staticmethod
    def translate(context, text):
        return text


def pyqtSlot(*types_):
    return lambda function: function


def modules():
    """Names for sys.modules."""
    core = types.ModuleType("PyQt5.QtCore")
    for item in (QObject, QTimer, Qt, QCoreApplication, pyqtSlot):
        setattr(core, item.__name__, item)
    gui, widgets, package = (types.ModuleType(name) for name in ("PyQt5.QtGui", "PyQt5.QtWidgets", "PyQt5"))
    widgets.QAction = widgets.QListView = QObject
    widgets.QApplication = QApplication
    gui.QAction = QObject
    package.QtCore, package.QtGui, package.QtWidgets = core, gui, widgets
    return {"PyQt5": package, "PyQt5.QtCore": core, "PyQt5.QtGui": gui, "PyQt5.QtWidgets": widgets}
