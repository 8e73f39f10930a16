"""The shapes of releases in the API: bodies that come in, and what the description says of the answers that `releases/detail.py` writes."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from processes.blueprint import Category
from processes.problems import did_you_mean
from releases import overview, states
from relorch.lib import secrets
from relorch.lib.rest import InstantField

LONGEST_REASON = 10_000
RELEASE_KINDS = [str(one) for one in Category]
RELEASE_STATES = [str(state) for state in states.Release]
RUN_STATES = [str(state) for state in states.Run]
PHASE_STATES = ["pending", "running", "waiting", "on_hold", "interrupted", "satisfied", "skipped", "bad"]
STATES = sorted({*RUN_STATES, *RELEASE_STATES})


class Body(serializers.Serializer[Any]):
    """A body whose every key is known: a slip of the pen must not be taken for a wish for the default."""

    def to_internal_value(self, data: Any) -> Any:
        """With a problem for each unknown key, beside those of the known ones."""
        unknown = {}
        if isinstance(data, dict):
            unknown = {key: f'There is no key "{key}" here.{did_you_mean(str(key), self.fields)}' for key in data if key not in self.fields}
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if unknown and isinstance(error.detail, dict):
                raise serializers.ValidationError(error.detail | _unknown(unknown)) from None
            raise
        if unknown:
            raise serializers.ValidationError(_unknown(unknown))
        return value


def _unknown(messages: dict[str, str]) -> dict[str, Any]:
    return {str(key): [serializers.ErrorDetail(message, code="unknown_key")] for key, message in messages.items()}


@extend_schema_field(OpenApiTypes.OBJECT)
class ValuesField(serializers.DictField):
    """Values by name. `{"$secret": true}` stands for a stored secret; the key `$secret` means nothing else."""

    child = serializers.JSONField(allow_null=True)

    def to_internal_value(self, data: Any) -> Any:
        """Nobody hands in what only we can have stored."""
        values = super().to_internal_value(data)
        wrong = {name: ['The key "$secret" is reserved; give the secret itself as text.'] for name, value in values.items() if _speaks_of_secrets(value)}
        if wrong:
            raise serializers.ValidationError(wrong, code="reserved_key")
        return values


def _speaks_of_secrets(value: Any) -> bool:
    if secrets.is_hidden(value):
        return False
    if isinstance(value, dict):
        return secrets.MARK in value or any(_speaks_of_secrets(item) for item in value.values())
    return isinstance(value, list) and any(_speaks_of_secrets(item) for item in value)


@extend_schema_field(OpenApiTypes.STR)
class InputSetField(serializers.Field[Any, Any, Any, Any]):
    """An input set of the process, by its number or its name; null for none."""

    def to_internal_value(self, data: Any) -> Any:
        """A number or a name."""
        if isinstance(data, bool) or not isinstance(data, int | str):
            raise serializers.ValidationError("The number or the name of an input set.", code="wrong_type")
        return data

    def to_representation(self, value: Any) -> Any:
        """As it is."""
        return value


class LinkShape(Body):
    """A ticket, a document, a dashboard."""

    url = serializers.CharField(help_text="https:// or http://.")
    title = serializers.CharField(required=False, allow_blank=True)


class OverviewBody(Body):
    """What a release says of itself. Checked by `releases/overview.py`, which says every problem."""

    identifier = serializers.CharField(required=False, allow_blank=True, help_text="One of its kind; without it, made from the name.")
    description = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    tags = serializers.ListField(child=serializers.CharField(), required=False)
    release_version = serializers.CharField(required=False, allow_blank=True, help_text="What goes out: digits and dots.")
    colour = serializers.CharField(required=False, allow_blank=True, help_text=f"One of {', '.join(overview.COLOURS)}.")
    links = LinkShape(many=True, required=False)
    owners = serializers.ListField(child=serializers.CharField(), required=False, help_text="Responsible instead of the process's owners.")
    phase_owners = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField()), required=False, help_text="Responsible instead of a phase's owners."
    )


class ReleaseCreateShape(OverviewBody):
    """What a release is made with: a process, or another release to be like."""

    process = serializers.CharField(required=False, help_text="The id of the process.")
    like = serializers.IntegerField(required=False, help_text="A release whose process, name and inputs are taken where nothing else is said.")
    version = serializers.IntegerField(required=False, min_value=1, help_text="A published version; else the newest.")
    name = serializers.CharField(required=False, allow_blank=True, max_length=200)
    inputs = ValuesField(required=False)
    input_set = InputSetField(
        required=False, allow_null=True, help_text="Its values, under those of `inputs`; without it the process's default one, with null none."
    )
    start = serializers.BooleanField(required=False, default=False, help_text="Start at once; else it is a draft.")
    scheduled_for = InstantField(required=False, help_text="Start then: its inputs are checked now and locked.")
    expected_end = InstantField(required=False, help_text="Unless said, one week after the start; missed when it has not started by then.")
    auto_start = serializers.BooleanField(required=False, default=False, help_text="The clock starts it; else it waits for a person at its time.")


class ReleasePatchShape(OverviewBody):
    """What of a draft is to be changed."""

    name = serializers.CharField(required=False, max_length=200)
    version = serializers.IntegerField(required=False, allow_null=True, min_value=1, help_text="Pin a published version; null: the newest.")
    inputs = ValuesField(required=False, help_text='Replaces them all; `{"$secret": true}` keeps a secret.')


class ReasonBody(Body):
    """Why."""

    # Missing and blank ones are refused by the verb, after the state (409 comes before 422).
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=LONGEST_REASON, help_text="Kept in the audit trail.")


class RetryBody(ReasonBody):
    """What a retry takes."""

    inputs = ValuesField(required=False, help_text="Merged over the resolved `with`, or over the inputs of a subprocess, from this attempt on.")
    process = serializers.CharField(required=False, help_text="The process that the new attempt runs, instead of a subprocess or of what a machine does.")


class OutputsBody(ReasonBody):
    """What ignoring and overriding take."""

    outputs = ValuesField(required=False, help_text="Substitute outputs.")


class PhaseBody(ReasonBody):
    """What starting again takes."""

    phase = serializers.CharField(required=False, default="", max_length=200, help_text="The id of the phase to start again from.")


class ScheduleBody(Body):
    """When a draft is to start."""

    scheduled_for = InstantField()
    expected_end = InstantField(required=False)
    auto_start = serializers.BooleanField(required=False, default=False)


class RescheduleBody(ReasonBody):
    """Another time."""

    scheduled_for = InstantField(required=False, allow_null=True, default=None)
    expected_end = InstantField(required=False, allow_null=True, default=None)
    auto_start = serializers.BooleanField(required=False, allow_null=True, default=None)


class MoveShape(serializers.Serializer[Any]):
    """One run, or with `activity` null the release itself, that moves."""

    release = serializers.IntegerField()
    activity = serializers.CharField(allow_null=True)
    to = serializers.ChoiceField(STATES)

    def get_fields(self) -> dict[str, Any]:
        """`from` is a word of the language."""
        return {**super().get_fields(), "from": serializers.ChoiceField(STATES)}


class PreviewShape(serializers.Serializer[Any]):
    """What a verb would do."""

    will = MoveShape(many=True)
    loses = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="Of skip, ignore and fail: the activities and phases that read an output of it."
    )


class ReleaseShape(serializers.Serializer[Any]):
    """A release in a list."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    process = serializers.CharField()
    version = serializers.IntegerField(allow_null=True)
    kind = serializers.ChoiceField(RELEASE_KINDS, help_text="The category that the version of its process says.")
    source = serializers.ChoiceField(["ad_hoc", "subprocess"], help_text="Made for itself, or by an activity of another release.")  # type: ignore[assignment]
    state = serializers.ChoiceField(RELEASE_STATES)
    reason = serializers.CharField()
    starter = serializers.EmailField()
    root = serializers.IntegerField()  # type: ignore[assignment]
    level = serializers.IntegerField()
    created_at = InstantField()
    identifier = serializers.CharField()
    tags = serializers.ListField(child=serializers.CharField())
    release_version = serializers.CharField()
    colour = serializers.CharField()
    scheduled_for = InstantField(allow_null=True)
    expected_end = InstantField(allow_null=True)
    auto_start = serializers.BooleanField()
    due_since = InstantField(allow_null=True, help_text="Its time has come and it waits for a person to start it.")
    version_pinned = serializers.BooleanField()
    started_at = InstantField(allow_null=True)
    finished_at = InstantField(allow_null=True)
    held_at = InstantField(allow_null=True)
    held_by = serializers.IntegerField(allow_null=True, help_text="The release where hold was put.")
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="State of activities -> how many.")
    needs_attention = serializers.BooleanField(help_text="Something is on hold or interrupted: a person must choose.")
    waiting_for_people = serializers.IntegerField(help_text="How many activities wait for a decision.")


class ParentShape(serializers.Serializer[Any]):
    """Where a child release belongs."""

    release = serializers.IntegerField()
    activity = serializers.CharField()


class FailureShape(serializers.Serializer[Any]):
    """The first failure that still stands."""

    activity = serializers.CharField()
    state = serializers.CharField()
    code = serializers.CharField()
    message = serializers.CharField()
    number = serializers.IntegerField(help_text="How many activities ended badly or need a decision.")


class PhaseShape(serializers.Serializer[Any]):
    """A phase of a release."""

    id = serializers.CharField()
    name = serializers.CharField()
    state = serializers.ChoiceField(PHASE_STATES)
    skipped_because = serializers.CharField(allow_null=True)
    causes = serializers.ListField(child=serializers.CharField())
    depends_on = serializers.ListField(child=serializers.CharField())
    owners = serializers.ListField(child=serializers.CharField())
    started_at = InstantField(allow_null=True)
    finished_at = InstantField(allow_null=True)
    outputs = serializers.DictField()
    message = serializers.CharField()
    failure = FailureShape(allow_null=True)
    done = serializers.IntegerField()
    total = serializers.IntegerField()


class AttemptShape(serializers.Serializer[Any]):
    """One try of an activity."""

    number = serializers.IntegerField()
    state = serializers.ChoiceField(RUN_STATES)
    queued_at = InstantField()
    next_at = InstantField(allow_null=True)
    started_at = InstantField(allow_null=True)
    finished_at = InstantField(allow_null=True)
    asked_at = InstantField(allow_null=True)
    due_at = InstantField(allow_null=True)
    code = serializers.CharField()
    message = serializers.CharField()
    inputs = serializers.DictField(allow_null=True)
    outputs = serializers.DictField()
    effect = serializers.CharField()
    lost = serializers.IntegerField()
    worker = serializers.CharField()
    override = serializers.DictField(allow_null=True, help_text="`{by, reason}`: somebody broke the glass.")
    may_still_run = serializers.BooleanField()


class RunShape(serializers.Serializer[Any]):
    """An activity of a release."""

    id = serializers.CharField()
    phase = serializers.CharField()
    name = serializers.CharField()
    type = serializers.CharField()
    connector = serializers.CharField(allow_null=True)
    depends_on = serializers.ListField(child=serializers.CharField())
    owners = serializers.ListField(child=serializers.CharField())
    state = serializers.ChoiceField(RUN_STATES)
    outcome = serializers.CharField(allow_null=True)
    skipped_because = serializers.CharField(allow_null=True)
    causes = serializers.ListField(child=serializers.CharField())
    cause_count = serializers.IntegerField()
    overridden = serializers.BooleanField()
    started_at = InstantField(allow_null=True)
    finished_at = InstantField(allow_null=True)
    code = serializers.CharField()
    message = serializers.CharField()
    outputs = serializers.DictField()
    attempts = AttemptShape(many=True)
    children = serializers.ListField(child=serializers.IntegerField(), help_text="Child releases, one for each attempt.")


class LockStandingShape(serializers.Serializer[Any]):
    """Who holds a lock or waits for it; nothing but a place where you may not see the release."""

    release = serializers.IntegerField(allow_null=True)
    name = serializers.CharField(allow_null=True)
    activity = serializers.CharField()
    phase = serializers.CharField()
    since = InstantField(allow_null=True)


class LockShape(serializers.Serializer[Any]):
    """A lock and its queue."""

    name = serializers.CharField()
    place = serializers.IntegerField(help_text="In the queue, from 1.")
    held_by = LockStandingShape(allow_null=True)
    queue = LockStandingShape(many=True)


class WaitShape(serializers.Serializer[Any]):
    """Somebody or something that a release waits for."""

    activity = serializers.CharField()
    release = serializers.IntegerField()
    kind = serializers.ChoiceField(["person", "machine", "time", "signal", "lock", "child", "hold"])
    who = serializers.ListField(child=serializers.CharField())
    verb = serializers.CharField()
    verbs = serializers.ListField(child=serializers.CharField())
    text = serializers.CharField(help_text="What it waits for, in words.")
    nobody = serializers.BooleanField(help_text="As things are nobody can act; `who` are those who can change that.")
    since = InstantField(allow_null=True)
    until = InstantField(allow_null=True)
    child = serializers.IntegerField(required=False)
    lock = LockShape(required=False)


class EndShape(serializers.Serializer[Any]):
    """When it ends: `likely`, and four times of five between the others."""

    likely = InstantField()
    earliest = InstantField()
    latest = InstantField()


class LateShape(serializers.Serializer[Any]):
    """Something takes too long."""

    activity = serializers.CharField(allow_null=True)
    text = serializers.CharField()


class ForecastShape(serializers.Serializer[Any]):
    """How far it is and when it ends."""

    done = serializers.FloatField(help_text="Of the work, from 0 to 1: what usually takes longer counts more.")
    expected_end = EndShape(allow_null=True)
    unestimated = serializers.ListField(child=serializers.CharField(), help_text="To come, and nobody knows how long they take: the end is at least this.")
    critical_path = serializers.ListField(child=serializers.CharField(), help_text="Open activities that decide when it ends.")
    late = LateShape(many=True)


class ReleaseDetailShape(ReleaseShape):
    """A release, whole."""

    parent = ParentShape(allow_null=True)
    failure = FailureShape(allow_null=True)
    description = serializers.CharField()
    links = LinkShape(many=True)
    owners = serializers.ListField(child=serializers.CharField())
    phase_owners = serializers.DictField()
    prepared_by = serializers.ListField(child=serializers.EmailField(), help_text="Who made, changed, scheduled or started it.")
    inputs = serializers.DictField()
    variables = serializers.DictField()
    outputs = serializers.DictField()
    phases = PhaseShape(many=True)
    activities = RunShape(many=True)
    waiting_for = WaitShape(many=True)
    forecast = ForecastShape(required=False, help_text="Of a release that has started.")


class ReleaseMovedShape(ReleaseShape):
    """A release after a verb, and what the verb moved at once."""

    moved = MoveShape(many=True)


class RunMovedShape(serializers.Serializer[Any]):
    """An activity after a verb, and what the verb moved at once."""

    id = serializers.CharField()
    release = serializers.IntegerField()
    state = serializers.ChoiceField(RUN_STATES)
    moved = MoveShape(many=True)


class EventShape(serializers.Serializer[Any]):
    """One thing that happened, from the audit trail."""

    sequence = serializers.IntegerField()
    verb = serializers.CharField()
    actor = serializers.CharField()
    at = InstantField()
    door = serializers.CharField()
    subject = serializers.CharField()
    reason = serializers.CharField(allow_blank=True)
    data = serializers.DictField()  # type: ignore[assignment]


class EvaluateBody(Body):
    """An expression to try."""

    expression = serializers.CharField(trim_whitespace=False)
    release = serializers.IntegerField(required=False, help_text="Take the names from this release of the process.")


class EvaluatedShape(serializers.Serializer[Any]):
    """The value, or what is wrong with the expression."""

    value = serializers.JSONField(required=False, allow_null=True)
    code = serializers.CharField(required=False)
    severity = serializers.CharField(required=False)
    message = serializers.CharField(required=False)
    place = serializers.CharField(required=False)
    column = serializers.IntegerField(required=False, allow_null=True)
