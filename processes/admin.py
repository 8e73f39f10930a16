"""Processes in the admin. Every change is a document given to the verbs of `editing` and `publishing`; the admin itself writes no row."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.text import Truncator
from unfold.admin import ModelAdmin, StackedInline
from unfold.decorators import action, display

from processes import editing, publishing
from processes.access import Permission, may, may_create
from processes.drafts import document_of
from processes.forms import ActivityForm, ActivityFormSet, ActivityPageForm, DraftFormSet, PhaseForm, ProcessForm
from processes.models import ActivityTemplate, DraftActivity, DraftPhase, Process, ProcessVersion
from processes.problems import Problem, errors, within
from processes.writing import yaml_text
from relorch.accounts.models import User
from relorch.lib.errors import DomainError

DOOR = "admin"
MOST_PICKS = 500


class DraftInline(StackedInline):
    """Rows of the draft; who may edit the process may edit them."""

    extra = 0
    tab = True
    ordering_field = "position"
    hide_ordering_field = True
    show_change_link = False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """With the process."""
        return True

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """With the process."""
        return _may_edit(request, obj)

    has_add_permission = has_delete_permission = has_change_permission


class PhaseInline(DraftInline):
    """Phases."""

    model = DraftPhase
    form = PhaseForm
    formset = DraftFormSet
    fields = (
        ("identifier", "name"),
        "description",
        ("owners", "depends_on"),
        ("condition", "run_when"),
        "variables",
        "outputs",
        ("lock", "lock_while_waiting"),
        "position",
    )


class ActivityInline(DraftInline):
    """Activities of all phases."""

    model = DraftActivity
    fk_name = "process"
    form = ActivityForm
    formset = ActivityFormSet
    fields = (("phase", "type"), ("identifier", "name"), "depends_on", "details", "position")
    readonly_fields = ("details",)

    @display(description="Everything else")
    def details(self, activity: DraftActivity) -> str:
        """The way to its own page."""
        if not activity.pk:
            return "Save first; then an activity has a page of its own for what it does."
        address = reverse("admin:processes_draftactivity_change", args=[activity.pk])
        return format_html('<a class="st-link" href="{}">{}: what it does, who decides, what follows a failure …</a>', address, activity)

    def get_queryset(self, request: HttpRequest) -> Any:
        """With their phases, by whose order they stand."""
        return super().get_queryset(request).select_related("phase").order_by("phase__position", "phase", "position", "id")


@admin.register(Process)
class ProcessAdmin(ModelAdmin):
    """Drafts can always be saved half-finished; what is wrong is shown, and only publishing needs it to be right."""

    form = ProcessForm
    change_form_template = "admin/processes/process.html"
    inlines = (PhaseInline, ActivityInline)
    list_display = ("title", "about", "category", "owned_by", "published", "release_count", "updated_at", "updated_by")
    list_filter = ("category", ("archived_at", admin.EmptyFieldListFilter))
    list_select_related = ("updated_by",)
    list_per_page = 50
    search_fields = ("identifier", "name", "description")
    ordering = ("name", "identifier")
    actions = ("archive_processes", "unarchive_processes")
    actions_detail = ("publish_draft",)
    readonly_fields = ("problems", "state", "as_file")
    fieldsets = (
        (None, {"fields": ("problems", "state", ("identifier", "name"), "description", ("category", "fail_fast"), "owners", "seen")}),
        ("Inputs, rules, variables, outputs", {"fields": ("inputs", "rules", "variables", "outputs"), "classes": ("tab",)}),
        ("As a file", {"fields": ("as_file",), "classes": ("tab",)}),
    )

    # What is there and who may

    def get_queryset(self, request: HttpRequest) -> Any:
        """Only through permission, like everywhere."""
        return Process.objects.visible_to(request.user).with_counts()

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whoever may use the admin finds the processes they may see."""
        return bool(request.user.is_active and request.user.is_staff)

    def has_view_permission(self, request: HttpRequest, obj: Process | None = None) -> bool:
        """What `get_queryset` shows may be seen."""
        return self.has_module_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Who may author here."""
        return may_create(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Process | None = None) -> bool:
        """Who may author this one."""
        return obj is None or _may_edit(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Process | None = None) -> bool:
        """Who may author, while nothing refers to it."""
        return obj is not None and may(request.user, Permission.AUTHOR, obj) and not editing.references(obj)

    def has_publish_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who may publish this one; unfold gives the number."""
        process = obj if isinstance(obj, Process) else Process.objects.visible_to(request.user).filter(pk=obj).first()
        return process is not None and process.archived_at is None and may(request.user, Permission.PUBLISH, process)

    # The list

    @display(description="process", ordering="name", header=True)
    def title(self, process: Process) -> list[str]:
        """Name and id."""
        return [str(process), process.identifier]

    @display(description="description")
    def about(self, process: Process) -> str:
        """Its beginning."""
        return Truncator(process.description).chars(80)

    @display(description="owners")
    def owned_by(self, process: Process) -> str:
        """As written."""
        return ", ".join(process.owners)

    @display(description="version", ordering="newest_number")
    def published(self, process: Any) -> str:
        """The newest."""
        return f"v{process.newest_number}" if process.newest_number else "draft"

    @display(description="releases", ordering="release_count")
    def release_count(self, process: Any) -> int:
        """How many follow it, in any state."""
        return int(process.release_count)

    # The page

    @display(description="Problems")
    def problems(self, process: Process) -> str:
        """Everything that is wrong with the saved draft."""
        if not process.pk:
            return "Save the draft to have it checked; it need not be finished."
        found = publishing.problems_of(document_of(process), actor=getattr(process, "asked_by", None))
        return _listed(found) if found else "None: it can be published."

    @display(description="State")
    def state(self, process: Process) -> str:
        """Published, archived, used by."""
        if not process.pk:
            return "Not saved yet."
        referring = editing.references(process, actor=getattr(process, "asked_by", None))
        parts = [f"revision {process.revision}", *referring, *(["archived"] if process.archived_at else [])]
        return "; ".join(parts)

    @display(description="YAML")
    def as_file(self, process: Process) -> str:
        """The draft as it would be exported."""
        return format_html("<pre>{}</pre>", yaml_text(document_of(process))) if process.pk else "-"

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Process | None:
        """With who asks for it: problems are those that they may know of."""
        process: Process | None = super().get_object(request, object_id, from_field)
        if process is not None:
            process.asked_by = request.user  # type: ignore[attr-defined]
        return process

    def get_inlines(self, request: HttpRequest, obj: Process | None) -> Any:
        """Who may only look sees the file."""
        return self.inlines if _may_edit(request, obj) else ()

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """With what its fields offer."""
        process = kwargs.get("obj") or context.get("original") or Process()
        shown: HttpResponse = super().render_change_form(request, context | {"picks": picks_of(process, request.user)}, *args, **kwargs)
        return shown

    # Saving: the whole page is one document

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The page's last formset must know the main form, which Django makes first."""
        base = super().get_form(request, obj, change, **kwargs)

        class Remembered(base):  # type: ignore[misc, valid-type]
            def __init__(self, *args: Any, **more: Any) -> None:
                super().__init__(*args, **more)
                self.person = request.user
                request.process_form = self  # type: ignore[attr-defined]

        return Remembered

    def _create_formsets(self, request: HttpRequest, obj: Any, change: bool) -> Any:
        formsets, inlines = super()._create_formsets(request, obj, change)
        found = {type(inline): formset for inline, formset in zip(inlines, formsets, strict=True)}
        if ActivityInline in found:
            found[ActivityInline].main = request.process_form  # type: ignore[attr-defined]
            found[ActivityInline].phases = found[PhaseInline]
        return formsets, inlines

    def save_model(self, request: HttpRequest, obj: Process, form: Any, change: bool) -> None:
        """Nothing yet: the document is whole with the last formset."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The one door."""
        document = formsets[-1].document
        if change:
            revision = form.cleaned_data["seen"]
            saved = editing.write_draft(form.instance, document, actor=request.user, expected_revision=revision, door=DOOR)
        else:
            saved = editing.create_process(document, actor=request.user, door=DOOR)
        form.instance.__dict__.update(saved.__dict__)
        for formset in formsets:  # as Django's record of the change wants them
            formset.new_objects, formset.changed_objects, formset.deleted_objects = [], [], []
        found = publishing.problems_of(document, actor=request.user)
        if found:
            messages.warning(request, format_html("The draft is saved. Before it can be published: {}", _listed(found)))

    def delete_model(self, request: HttpRequest, obj: Process) -> None:
        """By the verb."""
        editing.delete(obj, actor=request.user, door=DOOR)

    # Actions

    def get_actions(self, request: HttpRequest) -> Any:
        """Deleting is for one at a time, after a look at it."""
        return {name: found for name, found in super().get_actions(request).items() if name != "delete_selected"}

    @admin.action(description="Archive")
    def archive_processes(self, request: HttpRequest, queryset: Any) -> None:
        """Out of the way."""
        self._each(request, queryset, editing.archive)

    @admin.action(description="Take out of the archive")
    def unarchive_processes(self, request: HttpRequest, queryset: Any) -> None:
        """Back in use."""
        self._each(request, queryset, editing.unarchive)

    @action(description="Publish…", url_path="publish", permissions=["publish"])
    def publish_draft(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """A page to look once more, then the verb."""
        process = Process.objects.visible_to(request.user).filter(pk=object_id).first()
        if process is None:
            raise Http404
        change = reverse("admin:processes_process_change", args=[process.pk])
        if request.method == "POST":
            revision = request.POST.get("revision", "")
            try:
                version, _ = publishing.publish(
                    process,
                    actor=request.user,
                    note=request.POST.get("note", ""),
                    expected_revision=int(revision) if revision.isdecimal() and len(revision) < 10 else -1,
                    door=DOOR,
                )
            except DomainError as refusal:
                messages.error(request, format_html("{} {}", refusal.message, _listed(errors(getattr(refusal, "problems", ())))))
            else:
                messages.success(request, f"Published as version {version.number}.")
            return redirect(change)
        found = publishing.problems_of(document_of(process), actor=request.user)
        context = {"process": process, "problems": found, "blocked": bool(errors(found)), "change": change, "title": f"Publish {process}"}
        return render(request, "admin/processes/publish.html", self.admin_site.each_context(request) | context)

    def _each(self, request: HttpRequest, queryset: Any, verb: Any) -> None:
        for process in queryset:
            if not may(request.user, Permission.PUBLISH, process):
                messages.error(request, f"“{process}”: you may not do this.")
                continue
            try:
                verb(process, actor=request.user, door=DOOR)
                messages.success(request, f"“{process}”: done.")
            except DomainError as refusal:
                messages.error(request, f"“{process}”: {refusal.message}")


@admin.register(DraftActivity)
class ActivityAdmin(ModelAdmin):
    """One activity of a draft on a page of its own: every key of the file as a form that fits its type and connector."""

    form = ActivityPageForm
    change_form_template = "admin/processes/activity.html"
    fields = ("seen", "activity")

    def get_queryset(self, request: HttpRequest) -> Any:
        """Those of processes this person may see."""
        return DraftActivity.objects.filter(process__in=Process.objects.visible_to(request.user)).select_related("process__updated_by", "phase")

    def has_module_permission(self, request: HttpRequest) -> bool:
        """They are found on the page of their process."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What `get_queryset` shows may be seen."""
        return bool(request.user.is_active and request.user.is_staff)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """With its process."""
        return obj is None or _may_edit(request, obj.process)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """On the page of the process."""
        return False

    has_delete_permission = has_change_permission

    def delete_model(self, request: HttpRequest, obj: DraftActivity) -> None:
        """By the verb: the document without it."""
        document = document_of(obj.process)
        for phase in document.get("phases", ()):
            phase["activities"] = [activity for activity in phase.get("activities", ()) if activity["id"] != obj.identifier]
            if not phase["activities"]:
                del phase["activities"]
        editing.write_draft(obj.process, document, actor=request.user, expected_revision=obj.process.revision, door=DOOR)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """There is no list of all activities of all drafts."""
        return redirect("admin:processes_process_changelist")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The field is made with the form, because connectors are known then."""
        return ActivityPageForm

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """One for all: the form is the activity."""
        return ((None, {"fields": self.fields}),)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """With what can be picked and what is wrong with it."""
        activity = kwargs.get("obj") or context.get("original")
        found = publishing.problems_of(document_of(activity.process), actor=request.user)
        place = _place_of(activity)
        mine = [problem for problem in found if within(problem.place, place)]
        more = {"problems": mine, "picks": picks_of(activity.process, request.user)}
        shown: HttpResponse = super().render_change_form(request, context | more, *args, **kwargs)
        return shown

    def save_model(self, request: HttpRequest, obj: DraftActivity, form: Any, change: bool) -> None:
        """The one door."""
        revision = form.cleaned_data["seen"]
        editing.write_draft(obj.process, form.document, actor=request.user, expected_revision=revision, door=DOOR)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Nothing beside it."""

    def response_change(self, request: HttpRequest, obj: DraftActivity) -> HttpResponse:
        """Back to its process, or on with it."""
        messages.success(request, f"“{obj}” is saved.")
        if "_continue" in request.POST:
            return redirect(request.path)
        return redirect("admin:processes_process_change", obj.process_id)


def _place_of(activity: DraftActivity) -> str:
    phases = list(activity.process.draft_phases.order_by("position", "id").values_list("pk", flat=True))
    inside = list(activity.phase.draft_activities.order_by("position", "id").values_list("pk", flat=True))
    return f"/phases/{phases.index(activity.phase_id)}/activities/{inside.index(activity.pk)}"


def picks_of(process: Process, user: Any) -> dict[str, Any]:
    """What the fields of a draft's page offer: people, phases and activities with what they depend on, processes, and activities of the store."""
    people = [f"group:{name}" for name in Group.objects.order_by("name").values_list("name", flat=True)[:MOST_PICKS]]
    people += [f"user:{email}" for email in User.objects.filter(is_active=True).order_by("email").values_list("email", flat=True)[:MOST_PICKS]]
    return {
        "people": people,
        "phases": {row.identifier: row.depends_on for row in process.draft_phases.all()} if process.pk else {},
        "activities": {row.identifier: row.depends_on for row in process.draft_activities.all()} if process.pk else {},
        "processes": list(Process.objects.visible_to(user).filter(archived_at=None, versions__isnull=False).distinct().values_list("identifier", flat=True)),
        "templates": list(ActivityTemplate.objects.visible_to(user).filter(archived_at=None).values_list("identifier", flat=True)),
    }


@admin.register(ProcessVersion)
class ProcessVersionAdmin(ModelAdmin):
    """Published versions, to look at: they never change."""

    list_display = ("process", "number", "published_at", "published_by", "note")
    list_select_related = ("process", "published_by")
    list_filter = ("published_at",)
    search_fields = ("process__identifier", "process__name", "note")
    ordering = ("-published_at",)
    fields = ("process", "number", "hash", "note", "published_at", "published_by", "written_by", "as_file")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> Any:
        """Those of processes this person may see."""
        rows = ProcessVersion.objects.filter(process__in=Process.objects.visible_to(request.user)).defer("document")
        return rows.select_related("process", "published_by")

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whoever may use the admin."""
        return bool(request.user.is_active and request.user.is_staff)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What `get_queryset` shows may be seen."""
        return self.has_module_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Versions come from publishing."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    @display(description="Authors")
    def written_by(self, version: ProcessVersion) -> str:
        """Who saved the draft since the version before, or published."""
        return ", ".join(person.email for person in version.authors.all())

    @display(description="YAML")
    def as_file(self, version: ProcessVersion) -> str:
        """As it would be exported."""
        return format_html("<pre>{}</pre>", yaml_text(version.document))


def _may_edit(request: HttpRequest, process: Process | None) -> bool:
    if process is None or not process.pk:
        return may_create(request.user)
    return process.archived_at is None and may(request.user, Permission.AUTHOR, process)


def _listed(problems: list[Problem]) -> str:
    return format_html("<ul>{}</ul>", format_html_join("", "<li>{}: {} <code>{}</code></li>", ((p.severity, p.message, p.place or "/") for p in problems)))
