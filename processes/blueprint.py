"""The process file as typed, frozen values. Pure: no Django, no clock, no database.

Every class mirrors one mapping of the process file (docs/authoring.md); an attribute carries the key's name except where that is a
Python word: `if` is `condition`, `with` is `arguments`. Defaults are those of the format, so a value equal to its default is left out on export.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationInfo, WithJsonSchema

from processes.durations import DURATION_PATTERN, duration_text, parse_duration

API_VERSION: Final = "relorch/v1"
ID_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"
NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]{0,62}$"
RESERVED_IDS = frozenset({"validate", "from_text"})


def _seconds(value: object, info: ValidationInfo) -> int:
    # A bare number in a file could be seconds or minutes; only Python code, which knows that these are seconds, may give one.
    if info.mode == "json" and not isinstance(value, str):
        raise ValueError("a duration is text with its unit; write 90s, 30m, 24h, 2d, 1d12h or ISO 8601 such as PT30M")
    return parse_duration(value)


def _short_number(value: float) -> Any:
    return int(value) if value == int(value) else value


Id = Annotated[str, Field(pattern=ID_PATTERN)]
"""Snake case, because it is a name in expressions and in addresses."""

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
"""What an author calls an input, a variable, a field or an output: a name that an expression can say."""

Seconds = Annotated[
    int,
    BeforeValidator(_seconds),
    PlainSerializer(duration_text),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "description": "90s, 30m, 24h, 2d, 1d12h or ISO 8601", "examples": ["30m", "1d12h"]}),
]
"""A duration: text in the file, whole seconds in memory."""

Factor = Annotated[float, PlainSerializer(_short_number)]
"""A number written without a fraction where it has none."""

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

    type: ValueType = Field(ValueType.STRING, description="What kind of value this is; decides the form field and the checks.")
    name: str = Field("", description="What people read; without it the key.")
    description: str = Field("", description="Help shown beside the field.")
    required: bool = Field(False, description="Whether a value must be given.")
    default: Any = Field(None, description="Used when no value is given.")
    options: tuple[Any, ...] = Field((), description="The values to choose from (choice and multi_choice).")
    pattern: str | None = Field(None, description="A regular expression that the whole text must match.")
    min: Any = Field(None, description="The smallest value (or earliest date, or shortest duration).")
    max: Any = Field(None, description="The largest value (or latest date, or longest duration).")
    min_length: int | None = Field(None, ge=0, description="The fewest characters, or items of a list.")
    max_length: int | None = Field(None, ge=0, description="The most characters, or items of a list.")
    required_if: str | None = Field(None, description="A CEL expression: the value is required when it is true.")
    accept: tuple[str, ...] = Field((), description="Endings of file names that are taken, such as .pdf.")
    max_size: str | None = Field(None, description="The largest file that is taken, such as 10MB.")


class Rule(Part):
    """A check over several inputs, with the sentence shown when it does not hold."""

    check: str = Field(description="A CEL expression over inputs that must be true.")
    message: str = Field(description="What is shown when the check does not hold.")


class Output(Part):
    """A declared output of a store activity (`kind: Activity`)."""

    type: ValueType = Field(ValueType.STRING, description="What kind of value this is.")
    description: str = Field("", description="What the value means.")


class Retry(Part):
    """How often attempts that ended failed are repeated; `attempts` counts all of them."""

    attempts: int = Field(1, ge=1, le=100, description="How many attempts in all; 1 means no retry.")
    delay: Seconds = Field(10, description="How long to wait before the second attempt.")
    backoff: Factor = Field(1, ge=1, le=100, description="By how much each further wait is longer than the one before.")
    max_delay: Seconds = Field(300, description="The longest wait.")


class Requirement(Part):
    """One line of an approval: `count` distinct people of `of` (`user:<e-mail>`, `group:<name>`)."""

    count: int = Field(1, ge=1, description="How many different people.")
    of: tuple[str, ...] = Field((), description="Who they may be: user:<e-mail> or group:<name>; without it the owners.")


class Escalation(Part):
    """Who else is told when nobody has decided for a while."""

    after: Seconds = Field(description="How long after the request.")
    to: tuple[str, ...] = Field(description="Who is told: user:<e-mail> or group:<name>.")


class Approval(Part):
    """Who must agree, by when, and what silence means (S14 to S21)."""

    requires: tuple[Requirement, ...] = Field((), description="Who must agree. One vote fills one place; without it one of the owners.")
    order: Literal["any", "sequential"] = Field("any", description="sequential: the lines are asked one after the other.")
    exclude: tuple[Literal["starter", "author", "earlier_approvers"], ...] = Field((), description="Who may not decide here although entitled.")
    due: Seconds | None = Field(None, description="How long after the request an answer is due.")
    reminders: tuple[Seconds, ...] = Field((), description="How long after the request people are reminded.")
    escalate: Escalation | None = Field(None, description="Who else is told when nobody has decided for a while.")
    on_expiry: Literal["hold", "reject"] = Field("hold", description="What happens when nobody answers in time; silence never approves.")
    on_reject: Literal["hold", "fail"] = Field("hold", description="What a rejection does: a person chooses how to go on, or the activity ends rejected.")
    reject_when: Literal["any", "impossible"] = Field("any", description="any: one rejection rejects; impossible: once too few could still agree.")
    comment: Literal["optional", "required", "required_on_reject"] = Field("required_on_reject", description="Whether a decision needs a comment.")
    reauthenticate: bool | Literal["signature", "passkey"] = Field(
        False, description="Whether people confirm who they are when they decide; signature: as an electronic signature; passkey: over what is decided on."
    )
    allow_tokens: bool = Field(False, description="Whether an API token may decide for its person.")
    binds: tuple[str, ...] | None = Field(
        None, description="What the decision is about; without it inputs, variables and outputs of upstream activities. A change asks again."
    )


class ChecklistTask(Part):
    """One item of a manual activity's checklist."""

    id: Id = Field(description="Snake case, unique in the checklist.")
    name: str = Field("", description="What people read; without it the id.")
    description: str = Field("", description="What is to be done.")
    required: bool | str = Field(False, description="Whether it must be done before approval: true, false or a CEL expression.")
    owners: tuple[str, ...] = Field((), description="Who does it: user:<e-mail> or group:<name>.")
    expected: Seconds | None = Field(None, description="How long the author thinks it takes.")


class Activity(Part):
    """One step of a phase. Which keys fit depends on `type`; the soundness check says which do not."""

    id: Id = Field(description="Snake case, unique in the process; its name in expressions.")
    name: str = Field("", description="What people read; without it the id.")
    description: str = Field("", description="What this step is for.")
    type: ActivityType | None = Field(None, description="Who does it: a connector, people, or a release of another process.")
    uses: str | None = Field(None, description="An activity of the store, such as run_tests@2; without @ the newest when the release starts.")
    owners: tuple[str, ...] = Field((), description="Who is responsible: user:<e-mail> or group:<name>; without it the phase's, then the process's.")
    depends_on: tuple[str, ...] = Field((), description="Activities that come before this one, of any phase.")
    condition: str | None = Field(None, alias="if", description="A CEL expression; when it is false the activity is skipped.")
    run_when: RunWhen = Field(RunWhen.SATISFIED, description="With which outcome before it this runs: satisfied, failed (a roll-back) or always (a clean-up).")
    optional: bool = Field(False, description="Whether the release can succeed in part without it.")
    recovers: bool = Field(False, description="Whether its success answers the failures before it.")
    respects_freeze: bool | None = Field(None, description="Whether it waits while the calendar forbids changes.")
    variables: dict[Name, Template] = Field(default_factory=dict, description="Values computed at each attempt.")
    connector: str | None = Field(None, description="What runs it: script, http, timer, noop …")
    connection: str | None = Field(None, description="A stored address with credentials.")
    effect: Literal["keyed", "once"] | None = Field(None, description="keyed: safe to repeat with the same key when an answer is lost; once: a person decides.")
    arguments: dict[str, Template] = Field(default_factory=dict, alias="with", description="What the connector, or the activity of the store, is given.")
    process: str | None = Field(None, description="The process of which a release is run (subprocess).")
    inputs: dict[str, Template] = Field(default_factory=dict, description="The inputs of that release.")
    instructions: str = Field("", description="What people are asked to do, in Markdown.")
    fields: dict[Name, Variable] = Field(default_factory=dict, description="A typed form that people fill in; its values are outputs.")
    tasks: tuple[ChecklistTask, ...] = Field((), description="A checklist.")
    approval: Approval | None = Field(None, description="Who must agree before this is done.")
    outputs: dict[Name, Template] | None = Field(None, description="What later steps can read; without it the outputs of the result as they are.")
    timeout: Seconds | None = Field(None, description="How long an attempt may take; automated ones have 6h.")
    retry: Retry = Field(Retry(), description="How often an attempt that failed is repeated.")
    on_failure: OnFailure = Field(OnFailure.HOLD, description="After the last attempt: hold for a person, fail, or ignore.")
    lock: str | None = Field(None, description="A name that one release holds at a time, from start to close.")
    lock_while_waiting: Literal["keep", "release"] = Field("keep", description="Whether the lock is kept while people are waited for.")
    expected: Seconds | None = Field(None, description="How long the author thinks it takes.")

    @property
    def label(self) -> str:
        """What people call it: its name, else its id."""
        return self.name or self.id


class Phase(Part):
    """A group of activities that opens and closes as one."""

    id: Id = Field(description="Snake case, unique among the phases; its name in expressions.")
    name: str = Field("", description="What people read; without it the id.")
    description: str = Field("", description="What this phase is for.")
    owners: tuple[str, ...] = Field((), description="Who is responsible: user:<e-mail> or group:<name>; without it the process's.")
    depends_on: tuple[str, ...] = Field((), description="Phases that come before this one.")
    condition: str | None = Field(None, alias="if", description="A CEL expression; when it is false the phase is skipped with all its activities.")
    run_when: RunWhen = Field(RunWhen.SATISFIED, description="With which outcome before it this runs: satisfied, failed (a roll-back) or always (a clean-up).")
    variables: dict[Name, Template] = Field(default_factory=dict, description="Values computed when the phase opens.")
    outputs: dict[Name, Template] = Field(default_factory=dict, description="Values computed when the phase closes.")
    lock: str | None = Field(None, description="A name that one release holds at a time, from the phase's opening to its closing.")
    lock_while_waiting: Literal["keep", "release"] = Field("keep", description="Whether the lock is kept while people are waited for.")
    activities: tuple[Activity, ...] = Field((), description="The steps of the phase; they start together unless they depend on each other.")

    @property
    def label(self) -> str:
        """What people call it: its name, else its id."""
        return self.name or self.id


class Blueprint(Part):
    """A whole process: the reusable description of a release."""

    api_version: Literal["relorch/v1"] = Field(API_VERSION, alias="apiVersion", description="The version of this format.")
    kind: Literal["Process"] = Field("Process", description="A process; an activity of the store is kind: Activity.")
    id: Id = Field(description="Snake case, unique in the installation; the address of the process.")
    name: str = Field("", description="What people read; without it the id.")
    description: str = Field("", description="What this process is for.")
    category: Category = Field(Category.STANDARD, description="What sort of release this is.")
    owners: tuple[str, ...] = Field((), description="Who is responsible: user:<e-mail> or group:<name>.")
    fail_fast: bool = Field(False, description="Whether the first failure stops everything outside the failure paths.")
    inputs: dict[Name, Variable] = Field(default_factory=dict, description="What is asked when a release starts.")
    rules: tuple[Rule, ...] = Field((), description="Checks over several inputs.")
    variables: dict[Name, Template] = Field(default_factory=dict, description="Values computed once when the release starts.")
    phases: tuple[Phase, ...] = Field((), description="The phases; they start together unless they depend on each other.")
    outputs: dict[Name, Template] = Field(default_factory=dict, description="Values of the whole process, for a parent.")

    @property
    def label(self) -> str:
        """What people call it: its name, else its id."""
        return self.name or self.id


class StoreActivity(Part):
    """A reusable activity of the activity store (`kind: Activity`)."""

    api_version: Literal["relorch/v1"] = Field(API_VERSION, alias="apiVersion", description="The version of this format.")
    kind: Literal["Activity"] = Field("Activity", description="An activity of the store.")
    id: Id = Field(description="Snake case, unique in the store; what `uses` names.")
    name: str = Field("", description="What people read; without it the id.")
    category: str = Field("", description="Under which heading the store shows it.")
    description: str = Field("", description="What it does and when to use it.")
    inputs: dict[Name, Variable] = Field(default_factory=dict, description="What a process gives it in `with`; inside it `inputs` means these.")
    outputs: dict[Name, Output] = Field(default_factory=dict, description="What it promises to put out.")
    activity: dict[str, Any] = Field(default_factory=dict, description="The keys of an activity that every use of it starts from.")
