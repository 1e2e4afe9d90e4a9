"""The docker "Painterly": widgets only. What they show is the session's, what they change its settings."""

from typing import Callable, List, Optional, Sequence, Set

from . import diagnostics
from .canvas import host
from .job import ABOVE, REPLACE
from .parameter_form import ParameterForm, enter_typed
from .protocol import parameters
from .protocol.parameters import AUTO, InvalidParameter, Value
from .qt import QtCore, QtWidgets
from .sentence import Sentence
from .session import Session
from .status_view import StatusView
from .status_words import headline
from .tabbed import Tabbed
from .tasks import HistoryEntry, Homeless
from .translation import tr

# How much of its name the button for a closed document's result shows, in average characters.
ADOPTED_CHARACTERS = 20


class PainterlyDocker(host.DockWidget):
    """One for each window."""

    _seen: "Set[PainterlyDocker]" = set()  # in any window: while there is one, previews are wanted

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
        session.before_start = enter_typed
        self.visibilityChanged.connect(self._visibility_changed)
        self._refresh()

    def canvasChanged(self, canvas):
        """Krita calls this when another document comes to the front."""
        self._refresh()

    def _settings_changed(self) -> None:
        self._save()
        self._refresh()

    def _visibility_changed(self, visible: bool) -> None:
        (self._seen.add if visible else self._seen.discard)(self)
        self._session.want_preview(bool(self._seen))

    def _refresh(self) -> None:
        try:
            self.panel.refresh()
        except RuntimeError:
            if self._is_there():
                raise  # a fault of ours
            # The window was closed and its widgets deleted; the session outlives them.
            self._session.unsubscribe(self._refresh)

    def _is_there(self) -> bool:
        """Whether Qt has not deleted it yet."""
        try:
            self.objectName()
        except RuntimeError:
            return False
        return True


class Panel(Tabbed):
    """The docker's contents, from top to bottom."""

    def __init__(self, session: Session, changed: Callable[[], None]):
        super().__init__()
        self._session, self._changed = session, changed
        # First, so that they are seen in a docker of a few lines, too.
        self.headline = Sentence()
        self.bar = QtWidgets.QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setFormat("%p %")
        # Qt's tab order is the order of making: from top to bottom, as the eye goes.
        layout = QtWidgets.QVBoxLayout(self)
        layout.addWidget(self.headline)
        layout.addWidget(self.bar)
        layout.addLayout(self._buttons())
        self.status = StatusView()
        layout.addWidget(self.status)
        layout.addLayout(self._choices())
        layout.addWidget(self._advanced())
        self.history = HistoryView(session, changed)
        layout.addWidget(self.history)
        self.copy = QtWidgets.QPushButton(tr("Copy diagnostics"))
        self.copy.setToolTip(tr("Versions, settings, the last jobs and the backend's log; no pixels."))
        self.copy.clicked.connect(self._copy_diagnostics)
        layout.addWidget(self.copy)
        layout.addStretch(1)
        WheelFilter(self)

    def refresh(self) -> None:
        """Shows the session as it is now."""
        session = self._session
        task = session.current
        self.headline.show_text(headline(session.link, task))
        self.bar.setValue(int(1000 * task.fraction) if task else 0)
        values = session.settings.resolved()
        self._show_choices(values)
        busy = session.busy
        if self.cancel.hasFocus() and not busy:
            # Disabled, it would pass the focus down to the settings, and the docker would scroll there.
            self.harmonize.setFocus()
        self.cancel.setEnabled(busy)
        self.painting.refresh()
        self.status.show_task(task, session.message)
        self.history.refresh()

    # ---- building ------------------------------------------------------------------------------

    def _choices(self) -> QtWidgets.QLayout:
        self.preset = QtWidgets.QComboBox()
        for name in parameters.PRESETS:
            self.preset.addItem(preset_title(name), name)
        self.preset.setToolTip(tr("Sets all that is below; choose it again to take back your changes."))
        self.preset.activated.connect(lambda _: self._choose_preset(self.preset.currentData()))
        self.painting = PaintingChoice(self._session)
        self.result = QtWidgets.QComboBox()
        self.result.addItem(tr("New layer, original hidden"), ABOVE)
        self.result.addItem(tr("Replace the original"), REPLACE)
        self.result.activated.connect(lambda _: self._set("result", self.result.currentData()))
        form = QtWidgets.QFormLayout()
        form.setFieldGrowthPolicy(QtWidgets.QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(tr("Preset"), self.preset)
        form.addRow(tr("Painting"), self.painting)
        form.addRow(tr("Result"), self.result)
        self.simple = ParameterForm(False, self._change)
        both = QtWidgets.QVBoxLayout()
        both.addLayout(form)
        both.addWidget(self.simple)
        return both

    def _advanced(self) -> QtWidgets.QWidget:
        self.more = QtWidgets.QToolButton()
        self.more.setText(tr("More settings"))
        self.more.setCheckable(True)
        self.more.setToolButtonStyle(QtCore.Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.more.setArrowType(QtCore.Qt.ArrowType.RightArrow)
        self.advanced = ParameterForm(True, self._change)
        self.without_others = QtWidgets.QCheckBox(tr("Several layers: each without the others"))
        self.without_others.toggled.connect(lambda on: self._set("without_others", on))
        self.elsewhere = QtWidgets.QLineEdit()
        self.elsewhere.setPlaceholderText(tr("this computer"))
        self.elsewhere.setToolTip(tr("Connection file of a backend on another computer."))
        self.elsewhere.editingFinished.connect(
            lambda: self._set("connection_file", self.elsewhere.text().strip())
        )
        folded = QtWidgets.QWidget()
        inside = QtWidgets.QVBoxLayout(folded)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.addWidget(self.advanced)
        inside.addWidget(self.without_others)
        elsewhere = QtWidgets.QLabel(tr("Backend elsewhere (connection file)"))
        elsewhere.setBuddy(self.elsewhere)
        inside.addWidget(elsewhere)
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
        self.harmonize = QtWidgets.QPushButton(tr("Harmonize"))
        self.harmonize.setToolTip(tr("Repaints the selected layers by the hand of what is beneath them."))
        self.harmonize.clicked.connect(lambda: self._session.harmonize_selected(self.painting.chosen()))
        self.variants = QtWidgets.QPushButton(tr("Variants"))
        self.variants.setToolTip(tr("The active layer at several style strengths, as a group."))
        self.variants.clicked.connect(self._start_variants)
        self.cancel = QtWidgets.QPushButton(tr("Cancel"))
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
            self._session.say(str(problem))
            return
        self._changed()

    def _set(self, name: str, value) -> None:
        if getattr(self._session.settings, name) != value:
            setattr(self._session.settings, name, value)
            self._changed()

    def _show_choices(self, values) -> None:
        settings = self._session.settings
        self.preset.setCurrentIndex(self.preset.findData(settings.preset))
        self.simple.show_values(values)
        self.advanced.show_values(values)
        self.result.setCurrentIndex(self.result.findData(settings.result))
        self.without_others.setChecked(settings.without_others)
        if not self.elsewhere.hasFocus():
            self.elsewhere.setText(settings.connection_file)

    def _copy_diagnostics(self) -> None:
        text = diagnostics.report(self._session, host.version())
        QtWidgets.QApplication.clipboard().setText(text)
        self._session.say(tr("The diagnostics are copied: paste them into your report."))


class WheelFilter(QtCore.QObject):
    """Over boxes and sliders, too, the wheel scrolls the docker; it turns only the one that has the focus."""

    def __init__(self, panel: QtWidgets.QWidget):
        super().__init__(panel)
        for kind in (QtWidgets.QComboBox, QtWidgets.QAbstractSpinBox, QtWidgets.QSlider):
            for widget in panel.findChildren(kind):
                # By Qt's default the wheel itself gives them the focus.
                widget.setFocusPolicy(QtCore.Qt.FocusPolicy.StrongFocus)
                widget.installEventFilter(self)

    def eventFilter(self, watched, event):
        """Qt calls this for each event of these widgets; true if it is dealt with."""
        if event.type() == QtCore.QEvent.Type.Wheel and not watched.hasFocus():
            event.ignore()  # so that Qt offers it to what lies around the widget
            return True
        return False


class PaintingChoice(QtWidgets.QComboBox):
    """What serves as the painting; the list is made anew each time it is reached or opens."""

    def __init__(self, session: Session):
        super().__init__()
        self._session = session
        self.setSizeAdjustPolicy(QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.addItem(tr("Everything beneath"), "")

    def showPopup(self):
        """Qt calls this when the list opens."""
        self._fill(self._session.layers())
        super().showPopup()

    def focusInEvent(self, event):
        """Qt calls this when the box is reached, also by keyboard: its arrow keys choose without opening."""
        self._fill(self._session.layers())
        super().focusInEvent(event)

    def refresh(self) -> None:
        """Shows what will be used: a layer that was deleted, or is of another document, will not."""
        if self.currentData() and not self.chosen():
            self.setCurrentIndex(0)

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


class HistoryView(QtWidgets.QGroupBox):
    """This document's results, to compare, place again or take settings from; results without a document.

    `changed` is called when settings were taken.
    """

    def __init__(self, session: Session, changed: Callable[[], None]):
        super().__init__(tr("History"))
        self._session, self._changed = session, changed
        self._entries: List = []
        self._offered: Optional[Homeless] = None
        self.list = QtWidgets.QListWidget()
        self.list.setAccessibleName(tr("History"))
        self.list.setMaximumHeight(6 * self.fontMetrics().lineSpacing())
        self.show_only = self._button(tr("Show only this"), session.show_only)
        self.again = self._button(tr("Add again"), session.place_again)
        self.use = self._button(tr("Use settings"), self._use_settings)
        # As wide as with any name (of narrow letters, elided): by it the docker knows its own least width.
        self.adopt = QtWidgets.QPushButton(self._adopt_text("i" * 10 * ADOPTED_CHARACTERS))
        self.adopt.clicked.connect(lambda: self._with_offered(session.adopt))
        self.dismiss = QtWidgets.QPushButton(tr("Offer it no more"))
        self.dismiss.setToolTip(tr("Its file stays."))
        self.dismiss.clicked.connect(lambda: self._with_offered(session.dismiss))
        layout = QtWidgets.QVBoxLayout(self)
        for widget in (self.list, self.show_only, self.again, self.use, self.adopt, self.dismiss):
            layout.addWidget(widget)

    def refresh(self) -> None:
        entries = self._session.history_here()
        if entries != self._entries:
            kept = self._kept(entries)
            self._entries = entries
            self.list.clear()
            for entry in entries:
                item = QtWidgets.QListWidgetItem(entry.title, self.list)
                item.setToolTip(settings_text(entry.values))
            self.list.setCurrentRow(kept)
        for button in (self.show_only, self.again, self.use):
            button.setEnabled(bool(entries))
        for button in (self.adopt, self.dismiss):
            button.setVisible(bool(self._session.homeless))
        self._offered = self._session.homeless[0] if self._session.homeless else None
        if self._offered is not None:
            name = self._offered.name
            self.adopt.setText(self._adopt_text(name))
            self.adopt.setToolTip(tr("“{name}”: the result found no place in its document.", name=name))

    def _kept(self, entries: Sequence[HistoryEntry]) -> int:
        """The row to choose among `entries`: that of an older one which the artist chose, else the newest."""
        row, newest = self.list.currentRow(), len(entries) - 1
        if 0 <= row < len(self._entries) - 1 and self._entries[row] in entries:
            return entries.index(self._entries[row])
        return newest

    def _with_offered(self, action: Callable[[Homeless], None]) -> None:
        """Does it with the result that the button names, unless it is placed already."""
        if self._offered in self._session.homeless:
            action(self._offered)

    def _use_settings(self, entry: HistoryEntry) -> None:
        self._session.use_settings(entry)
        self._changed()

    def _adopt_text(self, name: str) -> str:
        metrics = self.fontMetrics()
        width = ADOPTED_CHARACTERS * metrics.averageCharWidth()
        short = metrics.elidedText(name, QtCore.Qt.TextElideMode.ElideRight, width)
        return tr("Add “{name}” here", name=short.replace("&", "&&"))  # Qt takes a single & for a mark

    def _button(self, text: str, action: Callable) -> QtWidgets.QPushButton:
        button = QtWidgets.QPushButton(text)
        button.clicked.connect(lambda: action(self._entries[self.list.currentRow()]))
        return button


def settings_text(values) -> str:
    """A job's settings, one a line."""

    def text(value: Value) -> str:
        if isinstance(value, bool):
            return tr("on") if value else tr("off")
        return tr("auto") if value == AUTO else str(value)

    return "\n".join(
        tr("{setting}: {value}", setting=tr(parameter.label), value=text(values[parameter.name]))
        for parameter in parameters.PARAMETERS
    )


def preset_title(name: str) -> str:
    """The preset as the artist reads it."""
    titles = {
        "draft": tr("Draft: to try out"),
        "balanced": tr("Balanced: for work"),
        "high": tr("High: the final picture"),
        "paper": tr("Paper: as published, very slow"),
    }
    return titles.get(name, name)
