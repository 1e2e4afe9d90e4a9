"""Preview and the last sentence, as widgets."""

from typing import Optional

from .protocol.messages import Preview
from .qt import QtCore, QtGui, QtWidgets
from .sentence import Sentence

PREVIEW_LINES = 12  # height of the preview in lines of text, so that it grows with the screen's density


class StatusView(QtWidgets.QWidget):
    """Preview and the last sentence."""

    def __init__(self):
        super().__init__()
        self.preview = QtWidgets.QLabel()
        self.preview.setAlignment(QtCore.Qt.AlignmentFlag.AlignCenter)
        self.preview.hide()
        self.message = Sentence()
        self._shown: Optional[Preview] = None
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.preview, self.message):
            layout.addWidget(widget)

    def show_task(self, task, message: str) -> None:
        self.message.show_text(message)
        self.message.setVisible(bool(message))
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
