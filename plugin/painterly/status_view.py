"""What goes on: the backend's state, progress, time left, preview and the last sentence."""

from typing import Optional

from . import tasks
from .backend_link import LOST, STARTING, STOPPED, BackendLink
from .protocol.messages import Preview
from .qt import QtCore, QtGui, QtWidgets
from .tasks import Job, Task
from .translation import tr

PREVIEW_LINES = 12  # height of the preview in lines of text, so that it grows with the screen's density


class StatusView(QtWidgets.QWidget):
    """Progress, time left, preview and the last sentence."""

    def __init__(self):
        super().__init__()
        self.bar = QtWidgets.QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setFormat("%p %")
        self.stage = QtWidgets.QLabel()
        self.preview = QtWidgets.QLabel()
        self.preview.setAlignment(QtCore.Qt.AlignmentFlag.AlignCenter)
        self.preview.hide()
        self.message = QtWidgets.QLabel()
        self.message.setWordWrap(True)
        self.message.setTextInteractionFlags(QtCore.Qt.TextInteractionFlag.TextSelectableByMouse)
        self._shown: Optional[Preview] = None
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.bar, self.stage, self.preview, self.message):
            layout.addWidget(widget)

    def show_task(self, task, message: str) -> None:
        self.message.setText(message)
        self.message.setVisible(bool(message))
        self.bar.setValue(int(1000 * task.fraction) if task else 0)
        self.stage.setText(stage_text(task) if task else tr("Ready."))
        job = task.current if task else None
        self._show_preview(job.preview if job else None)

    def _show_preview(self, preview: Optional[Preview]) -> None:
        if preview is self._shown:
            return
        self._shown = preview
        self.preview.setVisible(preview is not None)
        if preview is not None:
            self.preview.setPixmap(self._pixmap(preview))

    def _pixmap(self, preview: Preview) -> QtGui.QPixmap:
        raster = preview.image
        image = QtGui.QImage(
            bytes(raster.data),
            raster.width,
            raster.height,
            4 * raster.width,
            QtGui.QImage.Format.Format_ARGB32,
        )
        ratio = self.devicePixelRatioF()
        height = int(PREVIEW_LINES * self.fontMetrics().lineSpacing() * ratio)
        width = int(max(self.width(), 1) * ratio)
        modes = QtCore.Qt
        scaled = QtGui.QPixmap.fromImage(image).scaled(
            width,
            height,
            modes.AspectRatioMode.KeepAspectRatio,
            modes.TransformationMode.SmoothTransformation,
        )
        scaled.setDevicePixelRatio(ratio)
        return scaled


def backend_text(link: BackendLink) -> str:
    """The backend's state in a sentence: starting, ready on which device, or why it stopped."""
    if link.state == STOPPED:
        return link.why or tr("The backend starts on first use.")
    if link.state == LOST:
        return tr("The backend does not answer; still trying.")
    if link.state == STARTING:
        return tr("The backend is starting.")
    if link.worker == "starting":
        return tr("The network is being loaded; the first time takes a while.")
    if link.worker == "failed":
        return link.why or tr("The backend cannot compute.")
    device = link.device.get("device", "")
    return tr("Ready on {device}.", device=device) if device else tr("Ready.")


def stage_text(task: Task) -> str:
    """What is being done, for which of how many layers, and for how long still."""
    job = task.current
    if job is None:
        return tr("Done.")
    text = _doing(job)
    if len(task.jobs) > 1:
        number = sum(1 for each in task.jobs if each.ended) + 1
        text = tr("{number} of {count}: {stage}", number=number, count=len(task.jobs), stage=text)
    if task.seconds_left is not None:
        text = tr("{stage}, {time} left", stage=text, time=_duration(task.seconds_left))
    return text


def _doing(job: Job) -> str:
    if job.state == tasks.EXPORTING:
        return tr("Reading the layers")
    if job.state == tasks.STARTING:
        return tr("Starting the backend")
    if job.state == tasks.PLACING:
        return tr("Adding the result")
    if job.position:
        return tr("Waiting, {count} before", count=job.position)
    return tr(job.stage) if job.stage else tr("Waiting")


def _duration(seconds: float) -> str:
    if seconds < 100:
        return tr("{seconds} s", seconds=max(1, round(seconds)))
    return tr("{minutes} min", minutes=round(seconds / 60))
