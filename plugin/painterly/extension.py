"""The composition root: builds the objects, the menu actions and the timer, and shuts down with Krita."""

from typing import Optional

from . import launcher
from .backend_link import BackendLink
from .canvas import Canvas, host
from .docker import PainterlyDocker
from .launcher import Launcher
from .qt import QtCore, QtWidgets
from .session import Session
from .settings import Settings
from .translation import tr

BUSY_MS, QUIET_MS = 15, 1000
SAVE_MS = 500


class Painterly(host.Extension):
    """One for all windows of this Krita."""

    def __init__(self, parent):
        super().__init__(parent)
        self._path = launcher.home() / "data" / "krita-settings.json"
        self.settings = Settings.load(self._path)
        link = BackendLink(Launcher(), lambda: self.settings.connection_file, "Krita " + host.version())
        self.session = Session(Canvas(), link, self.settings, launcher.home() / "data" / "recovered")
        self._told = 0
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self.session.tick)
        self._saving = QtCore.QTimer(self)
        self._saving.setSingleShot(True)
        self._saving.timeout.connect(self._save)
        self.session.subscribe(self._changed)
        QtWidgets.QApplication.instance().aboutToQuit.connect(self._quit)

    def setup(self):
        """Krita calls this once at start; everything is built already."""

    def createActions(self, window):
        """Krita calls this for each window."""
        host.create_action(
            window, "painterly_harmonize", tr("Harmonize pasted layer"), self.session.harmonize_active
        )
        host.create_action(window, "painterly_cancel", tr("Cancel harmonizing"), self.session.cancel)

    def save_soon(self) -> None:
        """Writes the settings after a pause, once for many changes."""
        self._saving.start(SAVE_MS)

    def _save(self) -> None:
        try:
            self.settings.save(self._path)
        except OSError as error:
            host.show(tr("Painterly's settings could not be saved: {error}.", error=error))

    def _changed(self) -> None:
        wanted = BUSY_MS if self.session.busy else QUIET_MS
        if not self._timer.isActive() or self._timer.interval() != wanted:
            self._timer.start(wanted)
        count, message = self.session.message_count, self.session.message
        if message and count != self._told:
            host.show(message)
        self._told = count

    def _quit(self) -> None:
        self._timer.stop()
        if self._saving.isActive():  # else another Krita may have saved since
            self._save()
        self.session.close()


_extension: Optional[Painterly] = None


def register() -> None:
    """Adds the menu actions and the docker to this Krita."""
    global _extension
    _extension = Painterly(host.application())
    host.add_extension(_extension)
    host.add_docker("painterly_docker", lambda: PainterlyDocker(_extension.session, _extension.save_soon))
