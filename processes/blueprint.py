"""The process file as typed, frozen values. Pure: no Django, no clock, no database.

Every class mirrors one mapping of the process file (docs/authoring.md); an attribute carries the key's name except where that is a
Python word: `if` is `condition`, `with` is `arguments`. Defaults are those of the format, so a value equal to its default is left out on export.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from processes.durations import duration_text, parse_duration

API_VERSION = "relorch/v1"
ID_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"
RESERVED_IDS = frozenset({"validate", "from_text"})

Id = Annotated[str, Field(pattern=ID_PATTERN)]
Seconds = Annotated[
    int,
    BeforeValidator(parse_duration),
    PlainSerializer(duration_text),
    WithJsonSchema({"type": "string", "description": "90s, 30m, 24h, 2d, 1d12h or ISO 8601", "examples": ["30m", "1d12h"]}),
]
"""A duration: text in the file, whole seconds in memory."""

Template = Any
"""Any JSON value whose strings may hold `${{ … }}`."""


class Part(BaseModel):
    """Base of all: frozen, unknown keys refused, aliases as in the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, str_strip_whitespace=False)


class Category(StrEnum):
    STANDARD = "standard"
    HOTFIX = "hotfix"
    FEATURE = "feature"
    SYSTEM = "system"
    ROLLBACK = "rollback"


class ValueType(StrEnum):
    STRING = "string"
    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    MULTI_CHOICE = "multi_choice"
    DATE = "date"
    DATETIME = "datetime"
    DURATION = "duration"
    LIST = "list"
    OBJECT = "object"
    USER = "user"
    GROUP = "group"
    SECRET = "secret"  # noqa: S105 - the name of a type
    FILE = "file"


class ActivityType(StrEnum):
    AUTOMATED = "automated"
    MANUAL = "manual"
    SUBPROCESS = "subprocess"


class RunWhen(StrEnum):
    """S7: with which upstream outcome an item runs."""

    SATISFIED = "satisfied"
    FAILED = "failed"
    ALWAYS = "always"


class OnFailure(StrEnum):
    HOLD = "hold"
    FAIL = "fail"
    IGNORE = "ignore"


class Variable(Part):
    """One typed value: an input of a process or store activity, or a field of a form."""

    type: ValueType = ValueType.STRING
    name: str = ""
    description: str = ""
    required: bool = False
    default: Any = None
    options: tuple[Any, ...] = ()
    pattern: str | None = None
    min: Any = None
    max: Any = None
    min_length: int | None = Field(None, ge=0)
    max_length: int | None = Field(None, ge=0)
    required_if: str | None = None
    accept: tuple[str, ...] = ()
    max_size: str | None = None


class Rule(Part):
    """A check over several inputs, with the sentence shown when it does not hold."""

    check: str
    message: str


class Output(Part):
    """A declared output of a store activity (`kind: Activity`)."""

    type: ValueType = ValueType.STRING
    description: str = ""


class Retry(Part):
    """How often attempts that ended failed are repeated; `attempts` counts all of them."""

    attempts: int = Field(1, ge=1, le=100)
    delay: Seconds = 10
    backoff: float = Field(1, ge=1, le=100)
    max_delay: Seconds = 300


class Requirement(Part):
    """One line of an approval: `count` distinct people of `of` (`user:<e-mail>`, `group:<name>`)."""

    count: int = Field(1, ge=1)
    of: tuple[str, ...] = ()


class Escalation(Part):
    after: Seconds
    to: tuple[str, ...]


class Approval(Part):
    """Who must agree, by when, and what silence means (S14 to S21)."""

    requires: tuple[Requirement, ...] = ()
    order: Literal["any", "sequential"] = "any"
    exclude: tuple[Literal["starter", "author", "earlier_approvers"], ...] = ()
    due: Seconds | None = None
    reminders: tuple[Seconds, ...] = ()
    escalate: Escalation | None = None
    on_expiry: Literal["hold", "reject"] = "hold"
    on_reject: Literal["hold", "fail"] = "hold"
    reject_when: Literal["any", "impossible"] = "any"
    comment: Literal["optional", "required", "required_on_reject"] = "required_on_reject"
    reauthenticate: bool = False
    allow_tokens: bool = False
    binds: tuple[str, ...] | None = None


class ChecklistTask(Part):
    """One item of a manual activity's checklist."""

    id: Id
    name: str = ""
    description: str = ""
    required: bool | str = False
    owners: tuple[str, ...] = ()
    expected: Seconds | None = None


class Activity(Part):
    """One step of a phase. Which keys fit depends on `type`; the soundness check says which do not."""

    id: Id
    name: str = ""
    description: str = ""
    type: ActivityType | None = None
    uses: str | None = None
    owners: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    condition: str | None = Field(None, alias="if")
    run_when: RunWhen = RunWhen.SATISFIED
    optional: bool = False
    recovers: bool = False
    respects_freeze: bool | None = None
    variables: dict[str, Template] = Field(default_factory=dict)
    connector: str | None = None
    connection: str | None = None
    effect: Literal["keyed", "once"] | None = None
    arguments: dict[str, Template] = Field(default_factory=dict, alias="with")
    process: str | None = None
    inputs: dict[str, Template] = Field(default_factory=dict)
    instructions: str = ""
    fields: dict[str, Variable] = Field(default_factory=dict)
    tasks: tuple[ChecklistTask, ...] = ()
    approval: Approval | None = None
    outputs: dict[str, Template] | None = None
    timeout: Seconds | None = None
    retry: Retry = Retry()
    on_failure: OnFailure = OnFailure.HOLD
    lock: str | None = None
    lock_while_waiting: Literal["keep", "release"] = "keep"
    expected: Seconds | None = None

    @property
    def label(self) -> str:
        """What people call it: its name, else its id."""
        return self.name or self.id


class Phase(Part):
    """A group of activities that opens and closes as one."""

    id: Id
    name: str = ""
    description: str = ""
    owners: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    condition: str | None = Field(None, alias="if")
    run_when: RunWhen = RunWhen.SATISFIED
    variables: dict[str, Template] = Field(default_factory=dict)
    outputs: dict[str, Template] = Field(default_factory=dict)
    lock: str | None = None
    lock_while_waiting: Literal["keep", "release"] = "keep"
    activities: tuple[Activity, ...] = ()

    @property
    def label(self) -> str:
        """What people call it: its name, else its id."""
        return self.name or self.id


class Blueprint(Part):
    """A whole process: the reusable description of a release."""

    api_version: Literal["relorch/v1"] = Field(API_VERSION, alias="apiVersion")
    kind: Literal["Process"] = "Process"
    id: Id
    name: str = ""
    description: str = ""
    category: Category = Category.STANDARD
    owners: tuple[str, ...] = ()
    fail_fast: bool = False
    inputs: dict[str, Variable] = Field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    variables: dict[str, Template] = Field(default_factory=dict)
    phases: tuple[Phase, ...] = ()
    outputs: dict[str, Template] = Field(default_factory=dict)

    @property
    def label(self) -> str:
        """What people call it: its name, else its id."""
        return self.name or self.id


class StoreActivity(Part):
    """A reusable activity of the activity store (`kind: Activity`)."""

    api_version: Literal["relorch/v1"] = Field(API_VERSION, alias="apiVersion")
    kind: Literal["Activity"] = "Activity"
    id: Id
    name: str = ""
    category: str = ""
    description: str = ""
    inputs: dict[str, Variable] = Field(default_factory=dict)
    outputs: dict[str, Output] = Field(default_factory=dict)
    activity: dict[str, Any] = Field(default_factory=dict)
