"""The bookkeeping by itself: what is kept, and for how long."""

import os
import time

import pytest

from backend.service import jobs, room
from backend.service.jobs import Job, JobBook, QueueFull
from plugin.painterly.protocol import process
from plugin.painterly.protocol.endpoint import write_private_json


def new_job(name, size=0, on_disk=0):
    return Job(name, "owner", b"peer", (bytes(size),), [], on_disk)


def ended(book, name, ago, kept_bytes=0, word=b"word"):
    job = new_job(name)
    book.add(job)
    book.finish(job, (word,), kept_bytes)
    job.ended_at = time.monotonic() - ago
    return job


def test_one_after_the_other():
    book = JobBook(3)
    added = [new_job(name) for name in "abc"]
    for job in added:
        book.add(job)
    assert [(job.id, place) for job, place in book.positions()] == [("a", 0), ("b", 1), ("c", 2)]
    assert book.next_job() is added[0] and book.next_job() is not None
    first = JobBook(3)
    first.add(added[0])
    assert first.next_job() is first.running and first.unfinished
    first.put_back(added[0])
    assert first.running is None and first.next_job() is added[0] and added[0].tries >= 2
    first.finish(added[0], (b"word",))
    assert not first.unfinished and len(first) == 1
    first.forget(added[0])
    assert len(first) == 0 and first.get("a") is None


def test_the_queue_is_bounded_in_number_and_bytes(monkeypatch):
    book = JobBook(2)
    book.add(new_job("a"))
    book.add(new_job("b"))
    with pytest.raises(QueueFull):
        book.add(new_job("c"))
    monkeypatch.setattr(jobs, "WAITING_MEMORY", 1000)
    monkeypatch.setattr(jobs, "WAITING_BYTES", 5000)
    book = JobBook(10)
    book.add(new_job("a", 600))
    with pytest.raises(QueueFull):
        book.add(new_job("b", 600))
    assert book.get("b") is None
    book.next_job().frames = ()
    book.add(new_job("b", 600, 3000))
    with pytest.raises(QueueFull):
        book.add(new_job("c", 1, 3000))
    book.add(new_job("d", 1, 2000))


def test_what_is_kept_too_long_or_is_too_much_goes_oldest_first():
    book = JobBook(10)
    ended(book, "old", jobs.KEEP_SECONDS + 1)
    ended(book, "big", 50, jobs.KEEP_BYTES)
    ended(book, "small", 100, 1)
    ended(book, "new", 0, 1)
    book.add(new_job("waiting"))
    assert {job.id for job in book.overdue()} == {"old", "big", "small"}


def test_results_in_memory_are_bounded_too(monkeypatch):
    """There they are when the disk was full."""
    monkeypatch.setattr(jobs, "KEEP_MEMORY", 1000)
    book = JobBook(10)
    for number, name in enumerate(("new", "older", "oldest")):
        ended(book, name, number, word=bytes(400))
    assert [job.id for job in book.overdue()] == ["oldest"]


def test_a_room_clears_away_the_dead_ones_and_strays(tmp_path, monkeypatch):
    for name, started in (("dead", "long ago"), ("alive", process.started(1))):
        write_private_json(tmp_path / name / "owner.json", {"pid": 1, "started": started})
    (tmp_path / "not a room").mkdir()
    mine = room.Room(tmp_path, "mine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alive", "mine", "not a room"]
    used, stray = mine.exchange.put([b"us", b"ed"], "a"), mine.exchange.put([b"stray"], "b")
    assert (mine.size_of([used, "0" * 32]), mine.size_of([])) == (4, 0)
    mine.sweep({used})
    assert mine.size_of([stray])  # not old enough
    monkeypatch.setattr(room, "_STRAY_SECONDS", -1.0)
    mine.sweep({used})
    assert mine.size_of([used]) and not mine.size_of([stray])
    mine.close()
    assert not mine.path.exists()


def test_a_room_that_the_system_holds_on_to_is_cleared_away_by_a_later_start(tmp_path, monkeypatch):
    """As on Windows, while a client has a result in it mapped."""

    def held(*_, **__):
        raise PermissionError("in use")

    first = room.Room(tmp_path, "first")
    pixels = first.exchange.put([b"pixels"], "job")
    with monkeypatch.context() as windows:
        windows.setattr(os, "rmdir", held)
        first.close()
    assert first.path.exists() and not first.size_of([pixels])
    monkeypatch.setattr(process, "started", lambda pid: "another process by now")
    room.Room(tmp_path, "second")
    assert not first.path.exists()


@pytest.mark.parametrize("owner", [{}, {"pid": None, "started": ""}, {"pid": "x", "started": ""}])
def test_what_only_looks_like_a_room_stops_no_service(tmp_path, owner):
    write_private_json(tmp_path / "strange" / "owner.json", owner)
    room.Room(tmp_path, "mine")
    assert (tmp_path / "strange").exists()


@pytest.mark.parametrize("days, kept", [(6, True), (8, False)])
def test_a_room_of_another_machine_is_left_alone_while_it_gives_signs(tmp_path, monkeypatch, days, kept):
    """As in a home that several machines or containers share: their processes are not seen here."""
    monkeypatch.setattr(room, "machine", lambda: "elsewhere", raising=False)
    monkeypatch.setattr(process, "started", lambda pid: "there")
    other = room.Room(tmp_path, "other")
    monkeypatch.undo()
    then = time.time() - days * 24 * 3600
    os.utime(other.path / "owner.json", (then, then))
    room.Room(tmp_path, "mine")
    assert other.exists == kept
    if kept:
        other.sweep(set())
        assert (other.path / "owner.json").stat().st_mtime > then + 3600


def test_the_log_is_read_from_its_end_and_begun_anew_when_long(tmp_path, monkeypatch):
    mine = room.Room(tmp_path, "mine")
    assert mine.log_tail() == ""
    with mine.open_log() as log:
        log.write(b"first" + b"x" * 5000 + b"last")
    assert mine.log_tail() == "x" * 3996 + "last"
    with mine.open_log() as log:
        log.write(b" word")
    assert mine.log_tail().endswith("last word")
    monkeypatch.setattr(room, "_LOG_AT_MOST", 5000)
    with mine.open_log() as log:
        log.write(b"new")
    assert mine.log_tail() == "new"
