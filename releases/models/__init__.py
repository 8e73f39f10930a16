"""A release while it runs and after: what PostgreSQL remembers of it."""

from releases.models.attempt import Attempt, LogChunk
from releases.models.release import PhaseRun, Release
from releases.models.run import ActivityRun, RunPerson

__all__ = ["ActivityRun", "Attempt", "LogChunk", "PhaseRun", "Release", "RunPerson"]
