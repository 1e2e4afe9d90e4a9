"""Everything a bug report needs, as text; pixels and keys are not in it."""

import json
import platform
import sys

from . import launcher
from .protocol.version import PAINTERLY, PROTOCOL
from .qt import MAJOR
from .session import Session


def report(session: Session, krita: str) -> str:
    """Versions, settings, the backend's state, the last jobs and the end of its log."""
    link = session.link
    lines = [
        "Painterly {} (protocol {})".format(PAINTERLY, PROTOCOL),
        "Krita {}, Python {}, Qt {}".format(krita, sys.version.split()[0], MAJOR),
        platform.platform(),
        "Home: {}".format(launcher.home()),
        "Backend: {} {} {} {}".format(link.state, link.worker, json.dumps(link.device), link.why).rstrip(),
        "Settings: {} {}".format(session.settings.preset, json.dumps(session.settings.changes)),
        "Last message: {}".format(session.message or "none"),
    ]
    for task in session.tasks:
        for job in task.jobs:
            lines.append("Job {}: {} {} {}".format(job.id[:8], job.state, job.message, job.detail).rstrip())
    if session.fault:
        lines.append("Fault while showing: {}".format(session.fault.rstrip()))
    return "\n".join(lines + ["", "End of the backend's log:", link.log_tail])
