"""A release while it runs and after: what PostgreSQL remembers of it."""

from releases.models.attempt import Attempt, LogChunk
from releases.models.lock import Lock
from releases.models.release import InputValue, PhaseRun, Release
from releases.models.run import ActivityRun, RunPerson
from releases.models.saved import SavedFilter
from releases.models.signal import Signal
from releases.models.talk import Attachment, Comment
from releases.models.task import Task, TaskChange

__all__ = [
    "ActivityRun",
    "Attachment",
    "Attempt",
    "Comment",
    "InputValue",
    "Lock",
    "LogChunk",
    "PhaseRun",
    "Release",
    "RunPerson",
    "SavedFilter",
    "Signal",
    "Task",
    "TaskChange",
]
