"""The docker "Painterly": widgets only. What they show is the session's, what they change its settings."""

from typing import Callable, List, Optional

from . import diagnostics, tasks
from .canvas import host
from .job import ABOVE, REPLACE
from .parameter_form import ParameterForm
from .protocol import parameters
from .protocol.messages import Preview
from .protocol.parameters import InvalidParameter, Value
from .qt import QtCore, QtGui, QtWidgets, translate
from .session import Session

PREVIEW_LINES = 12  # height of the preview in lines of text, so that it grows with the screen's density
STAGES = {
    tasks.EXPORTING: "Reading the layers",
    tasks.STARTING: "Starting the backend",
    tasks.PLACING: "Adding the result",
}


class PainterlyDocker(host.DockWidget):
    """One for each window."""

    def __init__(self, session: Session, save: Callable[[], None]):
        super().__init__()
        self.setWindowTitle("Painterly")
        self._session, self._save = session, save
        self.panel = Panel(session, self._settings_changed)
        scroll = QtWidgets.QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(self.panel)
        scroll.setMinimumWidth(
            self.panel.minimumSizeHint().width() + scroll.verticalScrollBar().sizeHint().width()
        )
        self.setWidget(scroll)
        session.subscribe(self._refresh)
        self.visibilityChanged.connect(self._visibility_changed)
        self._refresh()

    def canvasChanged(self, canvas):
        """Krita calls this when another document comes to the front."""
        self._refresh()

    def _settings_changed(self) -> None:
        self._save()
        self._refresh()

    def _visibility_changed(self, visible: bool) -> None:
        self._session.want_preview = visible

    def _refresh(self) -> None:
        try:
            self.panel.refresh()
        except RuntimeError:
            # The window was closed and its widgets deleted; the session outlives them.
            self._session.unsubscribe(self._refresh)


class Panel(QtWidgets.QWidget):
    """The docker's contents, from top to bottom."""

    def __init__(self, session: Session, changed: Callable[[], None]):
        super().__init__()
        self._session, self._changed = session, changed
        self.backend = QtWidgets.QLabel()
        self.backend.setWordWrap(True)
        layout = QtWidgets.QVBoxLayout(self)
        self.status = StatusView()
        layout.addWidget(self.backend)
        layout.addLayout(self._buttons())
        layout.addWidget(self.status)
        layout.addLayout(self._choices())
        layout.addWidget(self._advanced())
        self.history = HistoryView(session)
        layout.addWidget(self.history)
        copy = QtWidgets.QPushButton(translate("Copy diagnostics"))
        copy.clicked.connect(self._copy_diagnostics)
        layout.addWidget(copy)
        layout.addStretch(1)

    def refresh(self) -> None:
        """Shows the session as it is now."""
        session = self._session
        self.backend.setText(_backend_text(session.link))
        values = session.settings.resolved()
        self._show_choices(values)
        busy = session.busy
        self.cancel.setEnabled(busy)
        self.status.show_task(session.current, session.message)
        self.history.refresh()

    # ---- building ------------------------------------------------------------------------------

    def _choices(self) -> QtWidgets.QLayout:
        self.preset = QtWidgets.QComboBox()
        self.preset.addItems(list(parameters.PRESETS))
        self.preset.activated.connect(lambda _: self._choose_preset(self.preset.currentText()))
        self.simple = ParameterForm(False, self._change)
        self.painting = PaintingChoice(self._session)
        self.result = QtWidgets.QComboBox()
        self.result.addItem(translate("New layer, original hidden"), ABOVE)
        self.result.addItem(translate("Replace the original"), REPLACE)
        self.result.activated.connect(lambda _: self._set("result", self.result.currentData()))
        form = QtWidgets.QFormLayout()
        form.setFieldGrowthPolicy(QtWidgets.QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for label, widget in (
            (translate("&Preset"), self.preset), (translate("Pa&inting"), self.painting),
            (translate("&Result"), self.result),
        ):  # fmt: skip
            form.addRow(label, widget)
        both = QtWidgets.QVBoxLayout()
        both.addLayout(form)
        both.addWidget(self.simple)
        return both

    def _advanced(self) -> QtWidgets.QWidget:
        self.more = QtWidgets.QToolButton()
        self.more.setText(translate("More settings"))
        self.more.setCheckable(True)
        self.more.setToolButtonStyle(QtCore.Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.more.setArrowType(QtCore.Qt.ArrowType.RightArrow)
        self.advanced = ParameterForm(True, self._change)
        self.without_others = QtWidgets.QCheckBox(translate("Several layers: each without the others"))
        self.without_others.toggled.connect(lambda on: self._set("without_others", on))
        self.elsewhere = QtWidgets.QLineEdit()
        self.elsewhere.setPlaceholderText(translate("this computer"))
        self.elsewhere.setToolTip(translate("Connection file of a backend on another computer."))
        self.elsewhere.editingFinished.connect(
            lambda: self._set("connection_file", self.elsewhere.text().strip())
        )
        folded = QtWidgets.QWidget()
        inside = QtWidgets.QVBoxLayout(folded)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.addWidget(self.advanced)
        inside.addWidget(self.without_others)
        inside.addWidget(QtWidgets.QLabel(translate("Backend elsewhere (connection file)")))
        inside.addWidget(self.elsewhere)
        folded.hide()
        self.more.toggled.connect(folded.setVisible)
        self.more.toggled.connect(self._turn_arrow)
        whole = QtWidgets.QWidget()
        outside = QtWidgets.QVBoxLayout(whole)
        outside.setContentsMargins(0, 0, 0, 0)
        outside.addWidget(self.more)
        outside.addWidget(folded)
        return whole

    def _turn_arrow(self, down: bool) -> None:
        arrows = QtCore.Qt.ArrowType
        self.more.setArrowType(arrows.DownArrow if down else arrows.RightArrow)

    def _buttons(self) -> QtWidgets.QLayout:
        self.harmonize = QtWidgets.QPushButton(translate("&Harmonize"))
        self.harmonize.setToolTip(translate("The selected layers, bottom to top."))
        self.harmonize.clicked.connect(lambda: self._session.harmonize_selected(self.painting.chosen()))
        self.variants = QtWidgets.QPushButton(translate("&Variants"))
        self.variants.setToolTip(translate("The active layer at several style strengths, as a group."))
        self.variants.clicked.connect(self._start_variants)
        self.cancel = QtWidgets.QPushButton(translate("&Cancel"))
        self.cancel.clicked.connect(self._session.cancel)
        grid = QtWidgets.QGridLayout()
        grid.addWidget(self.harmonize, 0, 0, 1, 2)
        grid.addWidget(self.variants, 1, 0)
        grid.addWidget(self.cancel, 1, 1)
        return grid

    # ---- acting --------------------------------------------------------------------------------

    def _start_variants(self) -> None:
        self._session.variants(self._session.settings.variant_styles, self.painting.chosen())

    def _choose_preset(self, name: str) -> None:
        self._session.settings.choose_preset(name)
        self._changed()

    def _change(self, name: str, value: Value) -> None:
        try:
            self._session.settings.change(name, value)
        except InvalidParameter as problem:
            self.status.message.setText(str(problem))
            return
        self._changed()

    def _set(self, name: str, value) -> None:
        if getattr(self._session.settings, name) != value:
            setattr(self._session.settings, name, value)
            self._changed()

    def _show_choices(self, values) -> None:
        settings = self._session.settings
        self.preset.setCurrentText(settings.preset)
        self.simple.show_values(values)
        self.advanced.show_values(values)
        self.result.setCurrentIndex(self.result.findData(settings.result))
        self.without_others.setChecked(settings.without_others)
        if not self.elsewhere.hasFocus():
            self.elsewhere.setText(settings.connection_file)

    def _copy_diagnostics(self) -> None:
        text = diagnostics.report(self._session, host.version())
        QtWidgets.QApplication.clipboard().setText(text)


class PaintingChoice(QtWidgets.QComboBox):
    """What serves as the painting; the list is made anew each time it opens."""

    def __init__(self, session: Session):
        super().__init__()
        self._session = session
        self.setSizeAdjustPolicy(QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.addItem(translate("Everything beneath"), "")

    def showPopup(self):
        """Qt calls this when the list opens."""
        self._fill(self._session.layers())
        super().showPopup()

    def _fill(self, layers) -> None:
        chosen = self.currentData()
        for index in range(self.count() - 1, 0, -1):
            self.removeItem(index)
        for unique_id, name in layers:
            self.addItem(name, unique_id)
        self.setCurrentIndex(max(0, self.findData(chosen)))

    def chosen(self) -> str:
        """The layer's unique id; empty for everything beneath, also when it is of another document."""
        known = {unique_id for unique_id, _ in self._session.layers()}
        return self.currentData() if self.currentData() in known else ""


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
        self.stage.setText(_stage_text(task) if task else translate("Ready."))
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


class HistoryView(QtWidgets.QGroupBox):
    """This document's results, to compare, place again or take settings from; results without a document."""

    def __init__(self, session: Session):
        super().__init__(translate("History"))
        self._session = session
        self._entries: List = []
        self.list = QtWidgets.QListWidget()
        self.list.setMaximumHeight(6 * self.fontMetrics().lineSpacing())
        self.show_only = self._button(translate("Show only this"), session.show_only)
        self.again = self._button(translate("Add again"), session.place_again)
        self.use = self._button(translate("Use settings"), session.use_settings)
        self.adopt = QtWidgets.QPushButton(translate("Add the result of a closed document here"))
        self.adopt.clicked.connect(lambda: session.adopt(session.homeless[0]))
        layout = QtWidgets.QVBoxLayout(self)
        for widget in (self.list, self.show_only, self.again, self.use, self.adopt):
            layout.addWidget(widget)

    def refresh(self) -> None:
        entries = self._session.history_here()
        if entries != self._entries:
            self._entries = entries
            self.list.clear()
            self.list.addItems([entry.title for entry in entries])
            self.list.setCurrentRow(len(entries) - 1)
        for button in (self.show_only, self.again, self.use):
            button.setEnabled(bool(entries))
        self.adopt.setVisible(bool(self._session.homeless))

    def _button(self, text: str, action: Callable) -> QtWidgets.QPushButton:
        button = QtWidgets.QPushButton(text)
        button.clicked.connect(lambda: action(self._entries[self.list.currentRow()]))
        return button


def _backend_text(link) -> str:
    if link.state == "stopped":
        return link.why or translate("The backend starts on first use.")
    if link.state == "lost":
        return translate("The backend does not answer; still trying.")
    if link.state == "starting":
        return translate("The backend is starting.")
    if link.worker == "starting":
        return translate("The network is being loaded; the first time takes a while.")
    if link.worker == "failed":
        return link.why or translate("The backend cannot compute.")
    device = link.device.get("device", "")
    return translate("Ready on {}.").format(device) if device else translate("Ready.")


def _stage_text(task) -> str:
    job = task.current
    if job is None:
        return translate("Done.")
    text = translate(STAGES.get(job.state, job.stage or "Waiting"))
    if len(task.jobs) > 1:
        done = sum(1 for each in task.jobs if each.ended)
        text = translate("Layer {} of {}: {}").format(done + 1, len(task.jobs), text)
    if task.seconds_left is not None:
        text += ", " + translate("{} s left").format(max(1, round(task.seconds_left)))
    return text
