"""The docker in the Krita program: its tab order, and names for all that can be reached."""

import time

import pytest

from .program import finished, reach

# Widgets of the docker that take the focus by Tab, in Qt's order, with what a screen reader would say.
REACHED = """
def named(widget):
    if widget is None:  # the X server has not given Krita the focus yet
        return ""
    label = [each.text() for each in panel().findChildren(QtWidgets.QLabel) if each.buddy() is widget]
    text = widget.text() if isinstance(widget, QtWidgets.QAbstractButton) else ""
    return widget.accessibleName() or " ".join(label) or text

Policy = QtCore.Qt.FocusPolicy
by_tab = (Policy.TabFocus, Policy.StrongFocus, Policy.WheelFocus)

def reached():
    start = widget = panel().harmonize
    found = []
    while True:
        if panel().isAncestorOf(widget) and widget.isVisible() and widget.isEnabled():
            if widget.focusPolicy() in by_tab and widget.focusProxy() is None:
                place = widget.mapTo(panel(), QtCore.QPoint(0, 0))
                found.append([named(widget), place.y(), place.x(), widget.height()])
        widget = widget.nextInFocusChain()
        if widget is start:
            return found
"""


def test_tab_goes_from_top_to_bottom_and_everything_has_a_name(start):
    krita = start()
    krita.run(REACHED + "panel().more.setChecked(True)")
    found = krita.value("reached()")
    assert len(found) > 15 and [each[0] for each in found][0] == "Harmonize"
    assert [place for name, *place in found if not name] == []
    for (_, y, x, height), (name, below, beside, _) in zip(found, found[1:]):
        same_row = abs(below - y) < height
        assert beside > x if same_row else below > y, name


def test_tab_and_shift_tab_move_within_the_docker(start):
    """Real key presses: to Krita, Tab elsewhere means to hide all dockers."""
    krita = start()
    names = [each[0] for each in krita.run(REACHED + "result = reached()")]
    focused = "named(QtWidgets.QApplication.focusWidget())"
    krita.run("main_window().activateWindow()\npanel().harmonize.setFocus()")
    krita.wait_for(focused + " == 'Harmonize'")
    for name in names[1:]:
        krita.xdotool("key", "Tab")
        krita.wait_for("{} == {!r}".format(focused, name), 10)
    for name in names[-2::-1]:
        krita.xdotool("key", "shift+Tab")
        krita.wait_for("{} == {!r}".format(focused, name), 10)
    assert krita.value("panel().isVisible()")
    krita.run("main_window().findChildren(QtWidgets.QMdiSubWindow)[0].setFocus()")
    krita.xdotool("key", "Tab")
    krita.wait_for("not panel().isVisible()", 10)
    krita.xdotool("key", "Tab")
    krita.wait_for("panel().isVisible()", 10)


def test_every_setting_has_its_label_and_its_explanation(start):
    krita = start()
    labels = krita.value(
        "[each.text() for each in panel().findChildren(QtWidgets.QLabel) if each.buddy() is not None]"
    )
    for form in ("simple", "advanced"):
        for field in krita.value("list(panel().{}.fields)".format(form)):
            box = "panel().{}.fields[{!r}]".format(form, field)
            assert krita.value(box + ".accessibleName()") in labels
            assert krita.value(box + ".toolTip()")


# Whatever is narrower or lower than its own text asks for, or sticks out of the docker.
CUT_OFF = """
kinds = (QtWidgets.QPushButton, QtWidgets.QToolButton, QtWidgets.QCheckBox, QtWidgets.QLabel,
         QtWidgets.QComboBox, QtWidgets.QAbstractSpinBox, QtWidgets.QLineEdit)
def cut_off():
    shown = [each for kind in kinds for each in panel().findChildren(kind) if each.isVisible()
             and not isinstance(each.parent(), QtWidgets.QAbstractSpinBox)]  # its own frame counts
    seen = panel().parentWidget()
    assert len(shown) > 30, len(shown)
    return [str(each.metaObject().className()) + " " + (each.text() if hasattr(each, "text") else "")
            for each in shown
            if each.width() < each.minimumSizeHint().width() or each.height() < each.minimumSizeHint().height()
            or each.mapTo(seen, each.rect().topRight()).x() >= seen.width()]
"""
NARROW = "main_window().resizeDocks([panel().window().findChild(QtWidgets.QDockWidget, 'painterly_docker')], [1], QtCore.Qt.Orientation.Horizontal)"


@pytest.mark.parametrize("density", ["1", "2"])
def test_in_the_narrowest_docker_nothing_is_cut_off(start, density):
    krita = start(QT_SCALE_FACTOR=density)
    assert krita.value("panel().devicePixelRatioF()") == int(density)
    krita.run(CUT_OFF + "panel().more.setChecked(True)\n" + NARROW)
    time.sleep(0.5)
    assert krita.value("cut_off()") == []
    # Qt finds no place to break a path of Windows: in a label, it would widen the docker.
    krita.run("session.say('The result is in C:" + r"\\a\\long\\path" * 20 + "')")
    time.sleep(0.5)
    message = "panel().status.message"
    assert krita.value("cut_off()") == []
    assert krita.value(message + ".height() >= " + message + ".document().size().height()")
    assert krita.value(message + ".document().size().height() > 4 * panel().fontMetrics().height()")
    krita.run(
        "session.homeless.append(painterly.tasks.Homeless(None, None, 'WM & ' * 40, ''))\nsession.say('')"
    )
    krita.wait_for("panel().history.adopt.isVisible()", 10)
    time.sleep(0.5)
    assert krita.value("cut_off()") == []


def test_the_preview_is_as_sharp_as_the_screen(start):
    krita = start(QT_SCALE_FACTOR="2")
    krita.run("behave(0, 30, 50)\nsession.want_preview(True)\npanel().harmonize.click()")
    krita.wait_for("panel().status.preview.isVisible()")
    assert krita.value("panel().status.preview.pixmap().devicePixelRatioF()") == 2
    finished(krita)


def test_the_wheel_scrolls_the_docker_and_turns_only_what_has_the_focus(start):
    krita = start()
    krita.run("behave()\npanel().more.setChecked(True)\nmain_window().activateWindow()\n"
              "area = panel().parentWidget().parentWidget()\npanel().harmonize.setFocus()")  # fmt: skip
    chosen = "[session.settings.preset, session.settings.changes, session.settings.result]"
    before = krita.value(chosen)
    scrolled = "area.verticalScrollBar().value()"
    number, word = "panel().simple.fields['resolution'].box", "panel().advanced.fields['schedule']"
    for box in ("panel().preset", "panel().result", number, word):
        krita.run("area.ensureWidgetVisible({})".format(box))
        at = krita.value(scrolled)
        _roll(krita, box, up=at > 0)
        krita.wait_for("{} != {}".format(scrolled, at), 10)
        assert krita.value(chosen) == before and not krita.value(box + ".hasFocus()")
    reach(krita, number)
    _roll(krita, number, up=True)
    krita.wait_for("session.settings.changes.get('resolution', 0) > 350", 10)


def _roll(krita, widget, up):
    """One notch of a real wheel, with the pointer over the widget."""
    x, y = krita.run("p = {0}.mapToGlobal({0}.rect().center())\nresult = [p.x(), p.y()]".format(widget))
    krita.xdotool("mousemove", str(x), str(y), "click", "4" if up else "5")


def test_previews_go_on_while_any_window_shows_the_docker(start):
    krita = start()
    wanted = "session._computing.want_preview"
    assert krita.value(wanted)
    krita.run("second = K.openWindow()\nsecond.qwindow().show()")
    docks = "second.qwindow().findChildren(QtWidgets.QDockWidget, 'painterly_docker')"
    krita.run("[dock.show() for dock in {0}]".format(docks))
    krita.wait_for("any(dock.isVisible() for dock in {})".format(docks))
    krita.run("second.qwindow().close()")
    krita.wait_for("len(K.windows()) == 1")
    time.sleep(0.5)
    assert krita.value("panel().isVisible()") and krita.value(wanted)
    krita.run("[dock.hide() for dock in K.dockers() if dock.objectName() == 'painterly_docker']")
    assert not krita.value(wanted)


def test_a_style_chosen_by_hand_begins_in_the_middle(start):
    krita = start()
    krita.run("panel().simple.fields['style'].auto.click()")
    assert krita.value("session.settings.changes") == {"style": 5.0}
    assert krita.value("panel().simple.fields['style'].box.value()") == 5.0


def test_the_result_of_a_closed_document_is_offered_by_its_name(start):
    krita = start()
    path = krita.profile.root / "result.png"
    path.touch()
    for name in ("hat & cup", "dog"):
        krita.run(
            "session.homeless.append(painterly.tasks.Homeless(None, None, {!r}, {!r}))".format(
                name, str(path)
            )
        )
    krita.run("session.say('')")
    for name in ("hat && cup", "dog"):
        assert krita.value("panel().history.adopt.text()") == "Add “{}” here".format(name)
        # Clicked again before the docker shows that it is placed, which no longer means the next one.
        krita.run("offered = session.homeless.pop(0)\npanel().history.adopt.click()\n"
                  "session.homeless.insert(0, offered)")  # fmt: skip
        assert not krita.value("session.busy")
        krita.run("panel().history.dismiss.click()")
    assert krita.value("panel().history.adopt.isHidden() and panel().history.dismiss.isHidden()")


# How many dockers hear of changes; the docker's own word for it.
LISTENING = "sum(getattr(each, '__name__', '') == '_refresh' for each in session._notice._observers)"


def test_a_docker_whose_widgets_fail_once_goes_on_and_one_of_a_closed_window_ends(start):
    krita = start()
    krita.run(
        "shown = panel().refresh\n"
        "def fails():\n    panel().refresh = shown\n    raise RuntimeError('a fault of ours')\n"
        "panel().refresh = fails\nsession.say('first')\nsession.say('second')"
    )
    assert krita.value("panel().status.message.toPlainText()") == "second"
    krita.run("panel().copy.click()")
    assert "a fault of ours" in krita.value("QtWidgets.QApplication.clipboard().text()")
    assert krita.value(LISTENING) == 1
    krita.run("second = K.openWindow()\nsecond.qwindow().show()")
    krita.wait_for(LISTENING + " == 2")
    krita.run("second.qwindow().close()")
    krita.wait_for("(session.say('third'), {} == 1)[1]".format(LISTENING))
    assert krita.value("panel().status.message.toPlainText()") == "third"


def test_settings_taken_from_the_history_are_saved(start):
    krita = start()
    krita.run("behave(0, 1)\npanel().harmonize.click()")
    finished(krita)
    krita.run("behave(0, 2)\npanel().history.use.click()")
    saved = "plugin._path.exists() and type(session.settings).load(plugin._path).changes"
    assert krita.wait_for(saved, 10)["first_iterations"] == 1


def test_of_variants_the_chosen_one_alone_is_shown(start):
    krita = start()
    krita.run("behave()\npanel().variants.click()")
    finished(krita)
    krita.run("panel().history.list.setCurrentRow(1)\npanel().history.show_only.click()")
    shown = "[each[1] for each in layers(doc.nodeByName('object (variants)'))]"
    assert krita.value(shown) == [False, True, False, False]
