"""A job's life: queue, progress, cancel, results kept, jobs found again."""

import dataclasses
import time
from pathlib import Path

from plugin.painterly import connection
from plugin.painterly.connection import Connection
from plugin.painterly.protocol import messages, parameters
from plugin.painterly.protocol.messages import Accepted, Cancelled, Progress, Result
from tests.fakes.backend import BABBLES, HANGS, WELL, job
from tests.service.conftest import Line, wait_until


def test_a_job_from_request_to_result(service):
    client = service.client()
    request = job("one", steps=3, milliseconds=80)
    result = client.do(request)
    assert isinstance(result, Result)
    assert (result.image, result.report["steps"]) == (request.layer, 3)
    accepted = [m for m in client.heard if isinstance(m, Accepted)]
    progress = [m for m in client.heard if isinstance(m, Progress)]
    assert [m.position for m in accepted] == [0]
    assert [(m.iteration, m.iterations) for m in progress] == [(1, 3), (2, 3), (3, 3)]
    assert progress[-1].fraction == 1 and progress[0].seconds_left > progress[-1].seconds_left == 0
    assert client.state == "connected" and client.welcome.queue_limit == 64


def test_big_pixels_travel_by_file_and_leave_none(service):
    client = service.client()
    request = job("big", size=1024)
    result = client.do(request)
    assert result.image == request.layer
    wait_until(lambda: not list(service.exchange.iterdir()))
    assert bytes(result.image.raster.data) == request.layer.raster.data  # still mapped


def test_big_pixels_inside_messages_too(service):
    client = service.client(dataclasses.replace(service.endpoint, exchange=""))
    request = job("big", size=1024)
    result = client.do(request)
    assert result.image == request.layer
    wait_until(lambda: not list(service.exchange.iterdir()))


def test_places_in_the_queue_are_told_as_they_change(service):
    client, other = service.client(), service.client()
    client.submit(job("a", steps=20, milliseconds=50))
    client.progress("a")
    other.submit(job("b", steps=1))
    other.until(lambda m: m == Accepted("b", 1))
    client.submit(job("c", steps=1))
    for name in ("a", "c"):
        client.last_word(name)
    other.last_word("b")
    assert [m.position for m in client.heard if isinstance(m, Accepted) and m.job == "c"] == [2, 1, 0]
    assert [m.position for m in other.heard if isinstance(m, Accepted)] == [1, 0]
    # Each hears of its own jobs only.
    assert {m.job for m in other.heard if isinstance(m, (Accepted, Progress, Result))} == {"b"}


def test_cancel_of_a_waiting_job_is_immediate(service):
    client = service.client()
    client.submit(job("long", steps=100, milliseconds=100))
    client.submit(job("waiting"))
    client.progress("long")
    start = time.monotonic()
    client.cancel("waiting")
    assert client.last_word("waiting") == Cancelled("waiting")
    assert time.monotonic() - start < 0.1


def test_cancel_of_a_running_job_takes_one_iteration(service):
    client = service.client()
    client.submit(job("long", steps=1000, milliseconds=100))
    client.progress("long")
    start, before = time.monotonic(), len(client.heard)
    client.cancel("long")
    assert client.last_word("long") == Cancelled("long")
    assert time.monotonic() - start < 0.1 + 0.1
    assert sum(isinstance(m, Progress) for m in client.heard[before:]) <= 1
    assert isinstance(client.do(job("next")), Result)


def test_cancel_may_keep_the_best(service):
    client = service.client()
    request = job("long", steps=1000, milliseconds=20)
    client.submit(request)
    client.progress("long")
    client.cancel("long", keep_best=True)
    assert client.last_word("long").best == request.layer


def test_a_worker_that_does_not_heed_a_cancel_is_replaced(start):
    service = start(cancel_seconds=0.3)
    client = service.client()
    client.ready()
    client.submit(job("deaf", HANGS))
    client.until(lambda m: m == Accepted("deaf", 0))
    client.cancel("deaf")
    assert isinstance(client.last_word("deaf"), Cancelled)
    assert isinstance(client.do(job("next")), Result)


def test_cancel_of_unknown_and_of_ended_jobs(service):
    client = service.client()
    client.cancel("never")
    assert client.last_word("never").kind == messages.UNKNOWN_JOB
    result = client.do(job("done"), acknowledge=False)
    client.cancel("done")
    client.resume("done")
    assert client.last_word("done") == result


def test_previews_only_on_request_and_not_too_often(service):
    client = service.client()
    client.do(job("without", steps=30, milliseconds=20))
    assert not any(m.preview for m in client.heard if isinstance(m, Progress))
    start = time.monotonic()
    client.do(job("with", steps=60, milliseconds=20, want_preview=True))
    seconds = time.monotonic() - start
    shown = [m for m in client.heard if isinstance(m, Progress) and m.preview]
    assert 2 <= len(shown) <= 1 + seconds / 0.5


def test_progress_is_throttled(service):
    client = service.client()
    start = time.monotonic()
    client.do(job("fast", steps=2000))
    assert sum(isinstance(m, Progress) for m in client.heard) <= 2 + (time.monotonic() - start) / 0.05


def test_waiting_for_one_job_loses_nothing_of_another(service):
    client, heard = Connection(service.endpoint), []
    for name in ("a", "b", "c"):
        client.submit(job(name, milliseconds=0))
    time.sleep(0.5)  # all three results lie ready and arrive in one go
    client.wait("a", heard.append)
    client.wait("b", heard.append)
    assert client.wait("c", heard.append).job == "c"
    client.close()


def test_a_result_is_kept_until_acknowledged(service):
    client = service.client()
    request = job("kept", size=1024)
    result = client.do(request, acknowledge=False)
    assert list(service.exchange.iterdir())
    client.resume("kept")
    assert client.last_word("kept", acknowledge=False) == result
    client.acknowledge("kept")
    wait_until(lambda: not list(service.exchange.iterdir()))
    client.resume("kept")
    assert client.last_word("kept").kind == messages.UNKNOWN_JOB


def test_jobs_are_found_again_by_another_connection(service):
    first = service.client()
    first.submit(job("done", size=1024))
    first.last_word("done", acknowledge=False)
    first.submit(job("running", steps=30, milliseconds=50))
    first.submit(job("waiting"))
    first.progress("running")
    first.close()
    second = service.client()
    second.resume("done", "running", "waiting", "unknown")
    assert second.last_word("unknown").kind == messages.UNKNOWN_JOB
    second.progress("running")
    for name in ("done", "running", "waiting"):
        assert isinstance(second.last_word(name), Result)
    assert [m.position for m in second.heard if isinstance(m, Accepted) and m.job == "waiting"] == [1, 0]


def test_a_result_that_nobody_took_waits_for_its_client(service):
    first = service.client()
    first.ready()
    first.submit(job("orphan", steps=10, milliseconds=30))
    first.progress("orphan")
    first.close()
    time.sleep(0.6)
    second = service.client()
    second.resume("orphan")
    assert isinstance(second.last_word("orphan"), Result)


def test_a_new_socket_takes_up_the_jobs_where_they_were(service):
    client = service.client()
    client.submit(job("a", steps=20, milliseconds=50))
    client.progress("a")
    client._connect()  # as after a lost connection
    assert isinstance(client.last_word("a"), Result)


def test_a_broken_line_loses_neither_the_running_job_nor_the_next(service, monkeypatch):
    """Only the transport reconnects, under a new identity: the service does not know the connection."""
    monkeypatch.setattr(connection, "PING_EVERY", 0.2)
    endpoint = service.endpoint
    with Line(endpoint.address) as line:
        client = service.client(dataclasses.replace(endpoint, address=line.address))
        client.submit(job("running", steps=20, milliseconds=50))
        client.progress("running")
        line.cut()
        assert isinstance(client.last_word("running"), Result)
        assert sum(isinstance(m, messages.Welcome) for m in client.heard) == 2
        line.cut()
        request = job("next", size=1024)
        assert client.do(request).image == request.layer
        client.close()


def test_a_job_said_twice_runs_once(service):
    client = service.client()
    request = job("twice", steps=5, milliseconds=20, size=1024)
    client.submit(request)
    client.submit(request)
    client.last_word("twice", acknowledge=False)
    client.submit(request)
    result = client.last_word("twice")
    assert isinstance(result, Result)
    wait_until(lambda: not list(service.exchange.iterdir()))
    steps = [m.iteration for m in client.heard if isinstance(m, Progress)]
    assert steps.count(1) == 1


def test_an_acknowledgement_counts_from_whatever_connection(service):
    client = service.client()
    client.do(job("taken", size=1024), acknowledge=False)
    other = service.client()
    other._connect()
    other.acknowledge("taken")
    wait_until(lambda: other.poll() is not None and not list(service.exchange.iterdir()))


def test_a_cancel_lost_with_its_connection_is_said_again(service, monkeypatch):
    client = service.client()
    client.submit(job("long", steps=1000, milliseconds=20))
    client.progress("long")
    with monkeypatch.context() as lost:
        lost.setattr(client, "_send", lambda message: None)
        client.cancel("long")
    client._connect()
    assert isinstance(client.last_word("long"), Cancelled)


def test_a_late_copy_of_a_request_does_not_steal_the_job(service):
    old = service.client()
    old.ready()
    new = service.client()
    blocker, request = job("blocker", steps=10, milliseconds=50), job("mine")
    new.submit(blocker)
    new.submit(request)
    new.until(lambda m: m == Accepted("mine", 1))
    old.submit(request)  # as if it had been under way since before the reconnect
    assert isinstance(new.last_word("mine"), Result)


def test_a_wrong_setting_is_refused_at_the_door(service):
    client = service.client()
    request = job("wrong")
    failed = client.do(dataclasses.replace(request, settings={**request.settings, "feather": 1e6}))
    assert (failed.kind, failed.message[:7]) == (messages.INVALID_PARAMETER, "Feather")
    failed = client.do(dataclasses.replace(request, settings={"nonsense": 1}))
    assert failed.kind == messages.INVALID_PARAMETER
    assert not list(service.exchange.iterdir())


def test_settings_that_a_client_does_not_name_are_the_default_presets(service):
    """As those that came after the client's release; the worker gets the complete set."""
    request = job("partial", size=1024)
    result = service.client().do(dataclasses.replace(request, settings={"seed": WELL, "feather": 0}))
    assert isinstance(result, Result), result
    default = parameters.PRESETS[parameters.DEFAULT_PRESET]
    assert result.report["steps"] == default["first_iterations"]


def test_the_queue_has_an_end(start):
    service = start(queue_limit=3)
    client = service.client()
    client.ready()
    client.submit(job("running", steps=1000, milliseconds=50))
    client.progress("running")
    for number in range(8):
        client.submit(job(f"j{number}", size=1024))
    for number in range(3, 8):
        failed = client.last_word(f"j{number}")
        assert failed.kind == messages.BUSY and "3 jobs" in failed.message
    assert len(list(service.exchange.iterdir())) == 6  # those of the refused are gone
    client.cancel("running")
    for number in range(3):
        assert isinstance(client.last_word(f"j{number}"), Result)


def test_what_a_worker_prints_disturbs_nobody(service):
    client = service.client()
    assert isinstance(client.do(job("noisy", BABBLES)), Result)
    assert "noise" in (Path(service.exchange).parent / "worker.log").read_text()
