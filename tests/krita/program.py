"""What tests ask of a running Krita, beyond the names of inside/program_scene.py."""

import time

SHOWN = "digest(doc)"
NODES = "[node.uniqueId().toString() for node in documents.children(doc.rootNode())]"
ABOVE = [["Background", True], ["object", False], ["object (harmonized)", True]]
BEFORE = [["Background", True], ["object", True]]


def layers(krita):
    return krita.value("layers()")


def backend_pid(krita):
    return krita.value("session.link._launcher._process.pid")


def running(krita):
    krita.wait_for("session.current is not None and session.current.current.fraction > 0")


def finished(krita, seconds=60):
    krita.wait_for("not session.busy", seconds)


def reach(krita, widget):
    """The focus to a widget, scrolled to where it is seen."""
    krita.run("main_window().activateWindow()\npanel().parentWidget().parentWidget().ensureWidgetVisible({0})\n"
              "{0}.setFocus()".format(widget))  # fmt: skip
    krita.wait_for(widget + ".hasFocus()", 10)


def step(krita, action):
    """Undo or redo; Krita ignores both while it renders, so ask until its history has moved."""
    row = "list(session._canvas._undo._views)[0].currentIndex().row()"
    before = krita.value(row)
    krita.wait_for("(K.action({!r}).trigger(), {} != {})[1]".format(action, row, before), 10)


def open_menu(krita, owner, entry):
    """Clicks the entry (its text without mnemonics) of a menu or menu bar that is open."""
    find = (
        "menu = {}\n"
        "act = [a for a in menu.actions() if a.text().replace('&', '') == {!r}][0]\n"
        "p = menu.mapToGlobal(menu.actionGeometry(act).center())\n"
        "result = [p.x(), p.y()]"
    ).format(owner, entry)
    x, y = krita.run(find)
    krita.xdotool("mousemove", str(x), str(y), "click", "1")
    time.sleep(0.5)
