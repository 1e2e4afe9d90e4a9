"""Sentences for the artist, wrapped in a narrow docker even where they name a long path."""

import math

from .qt import QtCore, QtGui, QtWidgets


class Sentence(QtWidgets.QTextEdit):
    """As a QLabel whose text can be selected; a label would make the docker as wide as its longest word."""

    def __init__(self):
        super().__init__()
        never = QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        self.setReadOnly(True)
        self.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(never)
        self.setVerticalScrollBarPolicy(never)
        self.setWordWrapMode(QtGui.QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setFocusPolicy(QtCore.Qt.FocusPolicy.ClickFocus)
        self.viewport().setAutoFillBackground(False)
        self.document().setDocumentMargin(0)
        self.document().documentLayout().documentSizeChanged.connect(self._fit)

    def show_text(self, text: str) -> None:
        if text != self.toPlainText():
            self.setPlainText(text)

    def minimumSizeHint(self):
        """Qt asks how narrow it may become: it wraps anywhere."""
        return QtCore.QSize(1, 1)

    def _fit(self, size) -> None:
        self.setFixedHeight(math.ceil(size.height()))
