"""What goes on, in words: the backend's state, the stage of a task. No widgets."""

from typing import Optional

from . import tasks
from .backend_link import LOST, READY, STARTING, STOPPED, BackendLink
from .tasks import Job, Task
from .translation import tr


def backend_text(link: BackendLink) -> str:
    """The backend's state in a sentence: starting, ready on which device, or why it stopped."""
    if link.state == STOPPED:
        return link.why or tr("The backend starts on first use.")
    if link.state == LOST:
        return tr("The backend does not answer; still trying.")
    if link.state == STARTING:
        return tr("The backend is starting.")
    if link.worker == "starting":
        return tr("The network is being loaded; the first time takes a while.")
    if link.worker == "failed":
        return link.why or tr("The backend cannot compute.")
    device = link.device.get("device", "")
    return tr("Ready on {device}.", device=device) if device else tr("Ready.")


def headline(link: BackendLink, task: Optional[Task]) -> str:
    """What an artist is to know first: what is being done, or how the backend is while it cannot do anything."""
    able = link.state in (READY, STOPPED) and link.worker not in ("starting", "failed")
    text = stage_text(task) if task and able else backend_text(link)
    return text[:1].upper() + text[1:]


def stage_text(task: Task) -> str:
    """What is being done, for which of how many layers, and for how long still."""
    job = task.current
    if job is None:
        return tr("Done.")
    text = _doing(job)
    if len(task.jobs) > 1:
        text = tr("{number} of {count}: {stage}", number=task.number, count=len(task.jobs), stage=text)
    if task.seconds_left is not None:
        text = tr("{stage}, {time} left", stage=text, time=_duration(task.seconds_left))
    return text


def _doing(job: Job) -> str:
    if job.state == tasks.EXPORTING:
        return tr("Reading the layers")
    if job.state == tasks.STARTING:
        return tr("Starting the backend")
    if job.state == tasks.PLACING:
        return tr("Ready, waits for your tool") if job.held else tr("Adding the result")
    if job.position:
        return tr("Waiting, {count} before", count=job.position)
    return tr(job.stage) if job.stage else tr("Waiting")


def _duration(seconds: float) -> str:
    if seconds < 100:
        return tr("{seconds} s", seconds=max(1, round(seconds)))
    return tr("{minutes} min", minutes=round(seconds / 60))
