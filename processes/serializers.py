"""The shapes of processes in the API. People are e-mail addresses, times RFC 3339 in UTC."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from processes.models import InputSet, Process, ProcessVersion
from processes.problems import Severity
from relorch.lib import secrets
from relorch.lib.rest import InstantField, ModelShape


class ProblemShape(serializers.Serializer[Any]):
    """One thing that is wrong, with its place as a JSON Pointer."""

    code = serializers.CharField()
    severity = serializers.ChoiceField([str(item) for item in Severity])
    message = serializers.CharField()
    place = serializers.CharField()
    line = serializers.IntegerField(required=False)
    column = serializers.IntegerField(required=False, help_text="Where in the value at `place` an expression goes wrong, from 1.")


class NewestVersionShape(ModelShape):
    """What a list says of the newest version."""

    published_by = serializers.EmailField(source="published_by.email", default=None)

    class Meta:
        model = ProcessVersion
        fields: ClassVar = ["number", "hash", "note", "published_at", "published_by"]


class ProcessShape(ModelShape):
    """A process, without its document."""

    id = serializers.CharField(source="identifier")
    created_by = serializers.EmailField(source="created_by.email", default=None)
    updated_by = serializers.EmailField(source="updated_by.email", default=None)
    newest_version = serializers.SerializerMethodField()

    class Meta:
        model = Process
        fields: ClassVar = [
            *("id", "name", "description", "category", "owners", "revision"),
            *("created_at", "created_by", "updated_at", "updated_by", "archived_at", "newest_version"),
        ]

    @extend_schema_field(NewestVersionShape(allow_null=True))
    def get_newest_version(self, process: Process) -> dict[str, Any] | None:
        """From the context, where one query has put those of all processes shown."""
        version = self.context["newest"].get(process.pk)
        return dict(NewestVersionShape(version).data) if version else None


class SavedShape(ProcessShape):
    """A process whose draft was just saved, and what is wrong with the draft."""

    problems = ProblemShape(many=True)

    class Meta(ProcessShape.Meta):
        fields: ClassVar = [*ProcessShape.Meta.fields, "problems"]


class DeprecationShape(serializers.Serializer[Any]):
    """That a version is not to be started any more."""

    reason = serializers.CharField()
    at = serializers.DateTimeField()
    by = serializers.EmailField(source="by.email", default=None)


class VersionShape(ModelShape):
    """A published version in a list."""

    deprecation = DeprecationShape(default=None, read_only=True, help_text="Null: it may be started.")

    published_by = serializers.EmailField(source="published_by.email", default=None)
    authors: Any = serializers.SlugRelatedField("email", many=True, read_only=True, help_text="Who saved the draft since the version before, or published.")

    class Meta:
        model = ProcessVersion
        fields: ClassVar = ["number", "hash", "note", "published_at", "published_by", "authors", "deprecation"]


@extend_schema_field(OpenApiTypes.OBJECT)
class DocumentField(serializers.JSONField):
    """A process file as a JSON object."""


class VersionWithDocumentShape(VersionShape):
    """A published version."""

    document = DocumentField()

    class Meta(VersionShape.Meta):
        fields: ClassVar = [*VersionShape.Meta.fields, "document"]


class PublishShape(serializers.Serializer[Any]):
    """What publishing takes."""

    note = serializers.CharField(required=False, allow_blank=True, default="", help_text="What is new, for whoever reads the history.")


class PublishedShape(serializers.Serializer[Any]):
    """What publishing gives."""

    number = serializers.IntegerField()
    hash = serializers.CharField()
    published_at = InstantField()
    problems = ProblemShape(many=True, help_text="Warnings; errors would have kept it from being published.")


class ReasonShape(serializers.Serializer[Any]):
    """Why."""

    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=10_000)


class ProblemsShape(serializers.Serializer[Any]):
    """The answer of `validate`."""

    problems = ProblemShape(many=True)


class ChangeShape(serializers.Serializer[Any]):
    """One change by meaning; `weakens` marks the loss of a control."""

    kind = serializers.ChoiceField(["added", "removed", "changed"])
    place = serializers.CharField()
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)
    text = serializers.CharField()
    weakens = serializers.BooleanField()


class DifferenceShape(serializers.Serializer[Any]):
    """What changed between two versions."""

    changes = ChangeShape(many=True)


class InputSetShape(ModelShape):
    """Named values for a process's inputs. A secret never comes back: `{"$secret": true}` stands for it, and giving that back keeps it."""

    process: Any = serializers.SlugRelatedField("identifier", read_only=True)
    values = serializers.SerializerMethodField()
    updated_by = serializers.EmailField(source="updated_by.email", default=None)
    default = serializers.BooleanField(source="is_default", read_only=True)
    status = serializers.SerializerMethodField()
    problems = serializers.SerializerMethodField()

    class Meta:
        model = InputSet
        fields: ClassVar = ["id", "process", "name", "description", "values", "default", "status", "problems", "updated_at", "updated_by"]

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_values(self, input_set: InputSet) -> dict[str, Any]:
        """Without secrets."""
        hidden: dict[str, Any] = secrets.hide(input_set.values)
        return hidden

    @extend_schema_field(serializers.ChoiceField(["complete", "incomplete"]))
    def get_status(self, input_set: InputSet) -> str:
        """Whether a start could take these values as they are."""
        return "incomplete" if self._problems(input_set) else "complete"

    @extend_schema_field(ProblemShape(many=True))
    def get_problems(self, input_set: InputSet) -> list[dict[str, Any]]:
        """What a start would still say."""
        return [problem.as_dict() for problem in self._problems(input_set)]

    def _problems(self, input_set: InputSet) -> list[Any]:
        return list(self.context["problems"].get(input_set.pk, ()))


class InputSetWriteShape(serializers.Serializer[Any]):
    """What an input set is made or replaced with."""

    process = serializers.CharField(help_text="The id of the process.")
    name = serializers.CharField(max_length=100)
    description = serializers.CharField(required=False, allow_blank=True, default="", max_length=10_000)
    values = serializers.DictField(
        child=serializers.JSONField(allow_null=True),
        required=False,
        default=dict,
        help_text="By input. A text with `${{ … }}` is worked out when a start takes it over.",
    )
    default = serializers.BooleanField(required=False, help_text="Taken by a start that names no input set; another one of the process is so no longer.")


class InputSetPatchShape(serializers.Serializer[Any]):
    """What of an input set is to be changed."""

    name = serializers.CharField(max_length=100, required=False)
    description = serializers.CharField(required=False, allow_blank=True, max_length=10_000)
    values = serializers.DictField(child=serializers.JSONField(allow_null=True), required=False)
    default = serializers.BooleanField(required=False)
