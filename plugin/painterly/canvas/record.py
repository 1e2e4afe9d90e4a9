"""The record of a document's results, in an annotation of the document: saved and loaded with its .kra file.

What is no record (none, damaged, of a newer Painterly) is read as an empty one; a single damaged entry
is passed over.
"""

import json
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from krita import Document

from ..protocol.geometry import Box

ANNOTATION = "painterly_results"
VERSION = 1


class Result(NamedTuple):
    """A layer that is a result (of variants, their group), by unique id, and what was painted for it.

    `source` is the unique id of the painted layer, `part` and `fingerprint` as in its `Origin`.
    """

    node: str
    source: str
    part: Optional[Box]
    fingerprint: Optional[int] = None


def read(document: Document) -> List[Result]:
    """The results that the document knows of, the oldest first; their layers may be gone."""
    record = _record(document)
    if record.get("version") != VERSION or not isinstance(record.get("results"), list):
        return []
    entries = [_entry(each) for each in record["results"]]
    return [result for result in entries if result is not None]


def write(document: Document, results: Sequence[Result]) -> None:
    """Puts them in place of what the document knew, except of what a newer Painterly noted."""
    version = _record(document).get("version")
    if isinstance(version, int) and version > VERSION:
        return
    record = {"version": VERSION, "results": [result._asdict() for result in results]}
    document.setAnnotation(ANNOTATION, "Painterly", json.dumps(record).encode("ascii"))


def _record(document: Document) -> Dict[str, Any]:
    # Asked for one that it does not have, Krita may crash.
    if ANNOTATION not in document.annotationTypes():
        return {}
    try:
        record = json.loads(bytes(document.annotation(ANNOTATION)))
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _entry(each: Any) -> Optional[Result]:
    """The result that is noted there, None if that is damaged."""
    try:
        return _result(each)
    except (KeyError, TypeError, ValueError):
        return None


def _result(each: Dict[str, Any]) -> Result:
    """Raises KeyError, TypeError or ValueError if it is none."""
    node, source, part = each["node"], each["source"], each["part"]
    fingerprint = each.get("fingerprint")  # an earlier Painterly wrote none
    if not (isinstance(node, str) and isinstance(source, str) and isinstance(fingerprint, (int, type(None)))):
        raise ValueError(each)
    if part is None:
        return Result(node, source, None)
    if not all(isinstance(edge, int) for edge in part):
        raise ValueError(each)
    return Result(node, source, Box(*part), fingerprint)
