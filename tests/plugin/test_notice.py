"""What observers see of the last sentence."""

from plugin.painterly.notice import Notice


def test_who_shows_only_new_sentences_shows_one_that_is_said_again():
    notice, seen = Notice(), [""]

    def observe():
        if notice.message != seen[-1]:
            seen.append(notice.message)

    notice.subscribe(observe)
    for _ in range(2):
        notice.say("Select a layer first.")
        notice.changed()
    assert [sentence for sentence in seen if sentence] == ["Select a layer first."] * 2
    assert notice.message == "Select a layer first."


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
