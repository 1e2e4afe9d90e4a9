"""What a document's annotation tells of its results: all that was written, and of anything else nothing."""

import json

import pytest

from plugin.painterly.protocol.geometry import Box

NONE = {"node": "{a}", "source": "{b}", "part": None}
NO_RECORDS = {
    "empty": b"",
    "binary": b"\x89PNG\r\n\x1a\n\xff",
    "cut off": b'{"version": 1, "results": [{"node": ',
    "too deep": b"[" * 100_000,
    "a list": [],
    "without a version": {"results": [NONE]},
    "of another version": {"version": 2, "results": [NONE]},
    "of a version in words": {"version": "1", "results": [NONE]},
    "without results": {"version": 1},
    "results that are none": {"version": 1, "results": 5},
    "results in words": {"version": 1, "results": "abc"},
    "a result without a layer": {"version": 1, "results": [{"source": "{b}", "part": None}]},
    "a layer that is a number": {"version": 1, "results": [{**NONE, "node": 5}]},
    "a source that is a list": {"version": 1, "results": [{**NONE, "source": []}]},
    "a part of three edges": {"version": 1, "results": [{**NONE, "part": [1, 2, 3]}]},
    "a part without an end": {"version": 1, "results": [{**NONE, "part": [1, 2, 3, float("inf")]}]},
    "a part that is a number": {"version": 1, "results": [{**NONE, "part": 5}]},
    "a fingerprint in words": {"version": 1, "results": [{**NONE, "fingerprint": "7"}]},
}


@pytest.fixture
def known(inside):
    """(the module, an empty document, two results)."""
    document = inside("scenes").document()
    record = inside("plugin.painterly.canvas.record")
    results = [record.Result("{a}", "{b}", None), record.Result("{c}", "{b}", Box(-1, 2, 30, 40), 7)]
    return record, document, results


def encoded(content):
    return content if isinstance(content, bytes) else json.dumps(content).encode()


def test_what_was_written_is_read(known):
    record, document, results = known
    assert record.read(document) == []
    for count in (2, 1):
        record.write(document, results[:count])
        assert record.read(document) == results[:count]
    assert document.annotationTypes() == [record.ANNOTATION]


@pytest.mark.parametrize("content", NO_RECORDS.values(), ids=NO_RECORDS)
def test_of_what_is_no_record_nothing_is_known(known, content):
    record, document, _ = known
    document.setAnnotation(record.ANNOTATION, "", encoded(content))
    assert record.read(document) == []


def test_the_example_itself_is_a_record(known):
    record, document, results = known
    content = {"version": record.VERSION, "later": "added", "results": [NONE]}
    document.setAnnotation(record.ANNOTATION, "", encoded(content))
    assert record.read(document) == results[:1]


def test_one_damaged_entry_does_not_lose_the_others(known):
    record, document, results = known
    record.write(document, results)
    whole = json.loads(bytes(document.annotation(record.ANNOTATION)))["results"]
    for damaged in (None, 5, "{a}", [], {}, {**NONE, "node": 5}, {**NONE, "part": [1, 2, 3]}):
        content = {"version": record.VERSION, "results": [whole[0], damaged, whole[1]]}
        document.setAnnotation(record.ANNOTATION, "", encoded(content))
        assert record.read(document) == results


def test_a_damaged_record_is_replaced_but_not_one_of_a_newer_painterly(known):
    record, document, results = known
    newer = encoded({"version": record.VERSION + 1, "results": []})
    for content, kept in ((b"{", False), (encoded({"version": "1"}), False), (newer, True)):
        document.setAnnotation(record.ANNOTATION, "", content)
        record.write(document, results)
        assert (bytes(document.annotation(record.ANNOTATION)) == content) == kept
        assert record.read(document) == ([] if kept else results)
