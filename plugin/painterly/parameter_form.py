"""Widgets for the parameters, made from their one declaration."""

from typing import Callable, Dict

from .protocol import parameters
from .protocol.parameters import AUTO, Parameter, Value
from .qt import QtCore, QtWidgets
from .translation import tr

Changed = Callable[[str, Value], None]


class _Switch(QtWidgets.QCheckBox):
    def __init__(self, parameter: Parameter, changed: Changed):
        super().__init__()
        self.toggled.connect(lambda on: changed(parameter.name, on))

    def show_value(self, value: Value) -> None:
        self.setChecked(bool(value))


class _Choice(QtWidgets.QComboBox):
    def __init__(self, parameter: Parameter, changed: Changed):
        super().__init__()
        for choice in parameter.choices:
            self.addItem(tr(choice), choice)
        self.currentIndexChanged.connect(lambda _: changed(parameter.name, self.currentData()))

    def show_value(self, value: Value) -> None:
        self.setCurrentIndex(self.findData(value))


class _Number(QtWidgets.QWidget):
    """A spin box and, where the parameter may be "auto", a box that lets the program choose."""

    def __init__(self, parameter: Parameter, changed: Changed):
        super().__init__()
        whole = parameter.kind == "integer"
        self.box = QtWidgets.QSpinBox() if whole else QtWidgets.QDoubleSpinBox()
        self.box.setRange(parameter.minimum, parameter.maximum)
        self.box.setSingleStep(parameter.step or 1)
        self.box.setSuffix(" " + tr(parameter.unit) if parameter.unit else "")
        self.box.setKeyboardTracking(False)
        self.box.setAccessibleName(tr(parameter.label))
        self.auto = QtWidgets.QCheckBox(tr("auto"))
        self.auto.setAccessibleName(tr("{setting}: automatic", setting=tr(parameter.label)))
        self.auto.setVisible(parameter.auto)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.box, 1)
        if parameter.auto:
            layout.addWidget(self.auto)
        self.setFocusProxy(self.box)
        if parameter.auto:
            # What counts once "auto" is unticked: not the weakest, but the middle.
            steps = (parameter.minimum + parameter.maximum) // (2 * parameter.step)
            self.box.setValue(steps * parameter.step)
        self.box.valueChanged.connect(lambda value: changed(parameter.name, value))
        self.auto.toggled.connect(self.box.setDisabled)
        self.auto.toggled.connect(lambda on: changed(parameter.name, AUTO if on else self.box.value()))

    def show_value(self, value: Value) -> None:
        self.auto.setChecked(value == AUTO)
        if value not in (AUTO, self.box.value()):  # set anew, it would take away what is being typed
            self.box.setValue(value)


def enter_typed() -> None:
    """As Return in the number's box that has the focus: a shortcut leaves what was typed there."""
    focused = QtWidgets.QApplication.focusWidget()
    if isinstance(focused, QtWidgets.QAbstractSpinBox) and isinstance(focused.parent(), _Number):
        focused.interpretText()


_WIDGETS = {"switch": _Switch, "choice": _Choice, "number": _Number, "integer": _Number}


class ParameterForm(QtWidgets.QWidget):
    """A form of the simple or of the advanced parameters; `changed(name, value)` hears the artist only."""

    def __init__(self, advanced: bool, changed: Changed):
        super().__init__()
        self._changed = changed
        self._showing = False
        self.fields: Dict[str, QtWidgets.QWidget] = {}
        layout = QtWidgets.QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setFieldGrowthPolicy(QtWidgets.QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for parameter in parameters.PARAMETERS:
            if parameter.advanced == advanced:
                self._add(layout, parameter)

    def _add(self, layout: QtWidgets.QFormLayout, parameter: Parameter) -> None:
        field = _WIDGETS[parameter.kind](parameter, self._tell)
        label = QtWidgets.QLabel(tr(parameter.label))
        label.setBuddy(field)
        for widget in (label, field):
            widget.setToolTip(tr(parameter.help))
        field.setAccessibleName(tr(parameter.label))
        field.setAccessibleDescription(tr(parameter.help))
        field.setFocusPolicy(QtCore.Qt.FocusPolicy.StrongFocus)
        self.fields[parameter.name] = field
        layout.addRow(label, field)

    def show_values(self, values: Dict[str, Value]) -> None:
        self._showing = True
        for name, field in self.fields.items():
            field.show_value(values[name])
        self._showing = False

    def _tell(self, name: str, value: Value) -> None:
        if not self._showing:
            self._changed(name, value)
