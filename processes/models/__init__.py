"""What a release follows: processes being edited, their published versions, and sets of input values."""

from processes.models.draft import DraftActivity, DraftPhase, DraftText
from processes.models.inputs import InputSet
from processes.models.permissions import ProcessGroupPermission, ProcessUserPermission
from processes.models.process import Process
from processes.models.store import ActivityTemplate, TemplateUse, TemplateVersion
from processes.models.version import DraftEdit, ProcessVersion, SubprocessUse, VersionDeprecation

__all__ = [
    "ActivityTemplate",
    "DraftActivity",
    "DraftEdit",
    "DraftPhase",
    "DraftText",
    "InputSet",
    "Process",
    "ProcessGroupPermission",
    "ProcessUserPermission",
    "ProcessVersion",
    "SubprocessUse",
    "TemplateUse",
    "TemplateVersion",
    "VersionDeprecation",
]
