"""The shapes of sign-offs in the API (semantics, section 7). People are e-mail addresses."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from approvals.models import SignOff
from approvals.signatures import verifies
from releases.models import Comment
from releases.serializers import Body
from relorch.audit.chain import instant
from relorch.lib.rest import InstantField

VERDICTS = ["open", "approved", "rejected", "expired", "impossible"]


class ChangedValueShape(serializers.Serializer[Any]):
    """One difference, with before and after."""

    kind = serializers.CharField(help_text="added, removed or changed.")
    place = serializers.CharField()
    before = serializers.CharField(allow_null=True)
    after = serializers.CharField(allow_null=True)
    risk = serializers.CharField(help_text="high, medium or low.")
    text = serializers.CharField()


class SinceShape(serializers.Serializer[Any]):
    """What is different since the last release of the process that succeeded, the largest risk first."""

    previous = serializers.DictField(allow_null=True)
    sentence = serializers.CharField()
    changes = ChangedValueShape(many=True)


class MissingShape(serializers.Serializer[Any]):
    """What a line still needs; `line` counts from 0."""

    line = serializers.IntegerField()
    places = serializers.IntegerField()
    people = serializers.ListField(child=serializers.EmailField())


class VoteShape(serializers.Serializer[Any]):
    """One person's vote."""

    by = serializers.EmailField()
    decision = serializers.ChoiceField(SignOff.Decision.values)
    comment = serializers.CharField()
    at = InstantField()
    door = serializers.ChoiceField(SignOff.Door.values)
    stale = serializers.BooleanField()
    changes = ChangedValueShape(many=True, required=False, help_text="Of a stale vote: what is different from what it was about.")

    def get_fields(self) -> dict[str, Any]:
        """`for` is a word of the language; it is there when somebody voted for somebody else."""
        return {**super().get_fields(), "for": serializers.EmailField(required=False)}


class GivenVoteShape(VoteShape):
    """A vote that was just given, and what came of it."""

    id = serializers.IntegerField()
    verdict = serializers.ChoiceField(VERDICTS)


class LineShape(serializers.Serializer[Any]):
    """A line of `requires` as it stands."""

    count = serializers.IntegerField()
    of = serializers.ListField(child=serializers.CharField())
    filled_by = serializers.ListField(child=serializers.EmailField())
    can_fill = serializers.ListField(child=serializers.EmailField())
    asked = serializers.BooleanField()


class PacketShape(serializers.Serializer[Any]):
    """What the decision is about."""

    hash = serializers.CharField()
    binds = serializers.DictField()
    text = serializers.CharField()
    fields_filled = serializers.DictField(help_text="What was entered in the form so far.")
    tasks = serializers.ListField(child=serializers.DictField(), help_text="How the checklist stands.")
    shown = serializers.DictField(help_text="All that is shown: title, instructions, fields, tasks, lines.")


class ProposalShape(serializers.Serializer[Any]):
    """What a token or an agent proposes; it counts for nothing (S14)."""

    by = serializers.EmailField()
    proposes = serializers.CharField(help_text="approve or reject.")
    comment = serializers.CharField()
    at = InstantField()
    door = serializers.CharField()


class SignOffsShape(serializers.Serializer[Any]):
    """The decision on an activity."""

    verdict = serializers.ChoiceField(VERDICTS)
    attempt = serializers.IntegerField(allow_null=True)
    asked_at = InstantField(allow_null=True)
    due_at = InstantField(allow_null=True)
    lines = LineShape(many=True)
    votes = VoteShape(many=True)
    proposals = ProposalShape(many=True)
    packet = PacketShape(allow_null=True)
    since_last = SinceShape(allow_null=True)
    standing = serializers.CharField(help_text="satisfied, possible, impossible, closed or not_asked.")
    missing = MissingShape(many=True)


class PendingShape(serializers.Serializer[Any]):
    """A decision that this person can give now."""

    release = serializers.IntegerField()
    release_name = serializers.CharField()
    process = serializers.CharField()
    activity = serializers.CharField()
    name = serializers.CharField()
    attempt = serializers.IntegerField()
    asked_at = InstantField(allow_null=True)
    due_at = InstantField(allow_null=True)


class SignOffBody(Body):
    """A vote. What is missing or wrong is said by the verb, after who may and what state it is in."""

    decision = serializers.CharField(required=False, allow_blank=True, default="", help_text="approve or reject")
    comment = serializers.CharField(required=False, allow_blank=True, default="", trim_whitespace=False)
    packet = serializers.CharField(required=False, allow_blank=True, default="", help_text="The hash of the packet that was seen: another one is refused.")

    password = serializers.CharField(
        required=False, allow_blank=True, default="", trim_whitespace=False, write_only=True, help_text="Where the approval wants you to confirm."
    )
    code = serializers.CharField(required=False, allow_blank=True, default="", write_only=True, help_text="Instead: of your authenticator app.")

    identity = serializers.CharField(required=False, allow_blank=True, default="", write_only=True, help_text="Your e-mail address, where both are wanted.")

    def get_fields(self) -> dict[str, Any]:
        """`fields` is a word of REST framework's, `for` one of the language."""
        behalf = serializers.CharField(required=False, allow_blank=True, help_text="For whom, as their delegate; else through whom it fills most places.")
        form = serializers.DictField(child=serializers.JSONField(allow_null=True), required=False, help_text="Values of the activity's form.")
        return {**super().get_fields(), "fields": form, "for": behalf}


def signature_of(vote: SignOff) -> dict[str, Any]:
    """`{signature: {name, meaning, reason, at, method, verifies}}` of a vote that was confirmed; wants `signatures` and `packet`."""
    row = max(vote.signatures.all(), key=lambda one: one.pk, default=None)
    if row is None:
        return {}
    said = {"name": row.name, "meaning": row.meaning, "reason": row.reason, "at": instant(row.at), "method": row.method, "packet": row.packet}
    return {"signature": said | {"verifies": verifies(row)}}


def vote_of(vote: SignOff) -> dict[str, Any]:
    """`{by, for?, decision, comment, at, door, stale}`; wants `person` and `for_person` selected."""
    shown: dict[str, Any] = {"by": vote.person.email}
    if vote.for_person:
        shown["for"] = vote.for_person.email
    return shown | {"decision": vote.decision, "comment": vote.comment, "at": instant(vote.at), "door": vote.door, "stale": vote.stale}


def proposal_of(row: Comment) -> dict[str, Any]:
    """`{by, proposes, comment, at, door}`; wants `by` selected."""
    return {"by": row.by.email, "proposes": row.proposes, "comment": row.text, "at": instant(row.at), "door": row.door}
