"""What observers see of the last sentence."""

from plugin.painterly.notice import Notice


def shown_by(notice):
    """What is shown by one who shows only what is news."""
    shown, told = [], [notice.count]

    def observe():
        if notice.message and notice.count != told[0]:
            shown.append(notice.message)
        told[0] = notice.count

    notice.subscribe(observe)
    return shown


def test_who_shows_only_new_sentences_shows_one_that_is_said_again():
    notice = Notice()
    shown = shown_by(notice)
    for _ in range(2):
        notice.say("Select a layer first.")
        notice.changed()
    assert shown == ["Select a layer first."] * 2
    assert notice.message == "Select a layer first."


def test_a_sentence_set_twice_or_restored_is_no_news():
    notice = Notice()
    shown = shown_by(notice)
    for sentence in ("“low” was moved.", "“low” was moved.", "The result is ready."):
        notice.message = sentence
        notice.changed()
    notice.restore("“low” was moved.")
    notice.changed()
    assert shown == ["“low” was moved.", "The result is ready."] and notice.message == "“low” was moved."


def test_an_observer_that_fails_is_told_of_once_and_stops_no_other():
    notice, seen = Notice(), []

    def broken():
        raise ValueError("a broken widget")

    notice.subscribe(broken)
    notice.subscribe(lambda: seen.append(notice.message))
    notice.changed()
    assert notice.message.startswith("Something unexpected happened") and "a broken widget" in notice.fault
    notice.say("Select a layer first.")
    assert seen[-1] == notice.message == "Select a layer first."
