"""The one place that knows which PyQt Krita embeds: version 5, or 6 if pykrita says so.

Enumerations are written in full (`Qt.AlignmentFlag.AlignLeft`), which both understand.
"""

from . import translation

try:
    from pykrita import qt_major_version

    MAJOR = qt_major_version()
except ImportError:  # Krita 5 has no such function
    MAJOR = 5

if MAJOR == 6:
    from PyQt6 import QtCore, QtGui, QtWidgets
    from PyQt6.QtGui import QAction
else:
    from PyQt5 import QtCore, QtGui, QtWidgets
    from PyQt5.QtWidgets import QAction

__all__ = ["MAJOR", "QAction", "QtCore", "QtGui", "QtWidgets"]

translation.translate_with(QtCore.QCoreApplication.translate)
