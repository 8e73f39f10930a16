"""A process drafted from a release procedure as people write it: headings, lists, check boxes. Deterministic, offline. Pure."""

from processes.describing.drafting import Description, Known, Question, describe

__all__ = ["Description", "Known", "Question", "describe"]
