"""Registering with Krita: the base classes of extension and docker, actions, messages on the canvas."""

from typing import Callable

from krita import DockWidget, DockWidgetFactory, DockWidgetFactoryBase, Extension, Krita

from ..qt import QtGui

__all__ = ["DockWidget", "Extension", "add_docker", "add_extension", "application", "create_action", "show"]

MESSAGE_MILLISECONDS = 6000


def application():
    return Krita.instance()


def version() -> str:
    return Krita.instance().version()


def add_extension(extension: Extension) -> None:
    Krita.instance().addExtension(extension)


def add_docker(name: str, docker: type) -> None:
    area = DockWidgetFactoryBase.DockPosition.DockRight
    Krita.instance().addDockWidgetFactory(DockWidgetFactory(name, area, docker))


def create_action(window, name: str, text: str, action: Callable[[], None]) -> None:
    """An entry of Tools > Scripts; its shortcut is in painterly.action."""
    window.createAction(name, text, "tools/scripts").triggered.connect(lambda *_: action())


def show(text: str) -> None:
    """A message over the canvas in front, for when the docker is closed."""
    window = Krita.instance().activeWindow()
    view = window.activeView() if window is not None else None
    if view is not None and view.document() is not None:
        view.showFloatingMessage(text, QtGui.QIcon(), MESSAGE_MILLISECONDS, 1)
