"""Processes in the admin. Every change is a document given to the verbs of `editing` and `publishing`; the admin itself writes no row."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.forms.formsets import all_valid
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from unfold.admin import StackedInline
from unfold.decorators import action, display

from processes import editing, publishing
from processes.access import Permission, may, may_create
from processes.authoring import activity_admin, versions_admin  # noqa: F401 - they register their pages
from processes.authoring.history import history_of
from processes.authoring.located import located, refused
from processes.authoring.mends import asked_mend
from processes.authoring.picks import picks_of
from processes.authoring.plan import RUN_WHEN, blank, plan_of
from processes.authoring.process_list import DOOR, ProcessList
from processes.authoring.rights import may_edit, may_use_admin
from processes.drafts import document_of
from processes.forms import ActivityForm, ActivityFormSet, DraftFormSet, PhaseForm, ProcessForm
from processes.models import DraftActivity, DraftPhase, Process
from processes.problems import Problem, errors
from processes.starting_points import copy_of
from processes.writing import yaml_text
from relorch.lib.errors import DomainError, Invalid


class DraftInline(StackedInline):
    """Rows of the draft; who may edit the process may edit them. The page draws them itself (`authoring.plan`)."""

    extra = 0

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """With the process."""
        return True

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """With the process."""
        return may_edit(request, obj)

    has_add_permission = has_delete_permission = has_change_permission


class PhaseInline(DraftInline):
    """Phases."""

    model = DraftPhase
    form = PhaseForm
    formset = DraftFormSet


class ActivityInline(DraftInline):
    """Activities of all phases."""

    model = DraftActivity
    fk_name = "process"
    form = ActivityForm
    formset = ActivityFormSet

    def get_queryset(self, request: HttpRequest) -> Any:
        """With their phases, by whose order they stand."""
        return super().get_queryset(request).select_related("phase").order_by("phase__position", "phase", "position", "id")


@admin.register(Process)
class ProcessAdmin(ProcessList):
    """Drafts can always be saved half-finished; what is wrong is shown, and only publishing needs it to be right."""

    form = ProcessForm
    change_form_template = "admin/processes/process.html"
    inlines = (PhaseInline, ActivityInline)
    actions_detail: ClassVar = ["publish_draft", "duplicate", "put_away"]
    readonly_fields = ("as_file",)
    fieldsets = (
        (None, {"fields": ("seen", ("name", "identifier"), "description", "owners", ("category", "fail_fast"))}),
        ("Inputs, rules, variables and outputs", {"fields": ("inputs", "rules", "variables", "outputs")}),
    )

    # What is there and who may

    def get_queryset(self, request: HttpRequest) -> Any:
        """Only through permission, like everywhere."""
        return Process.objects.visible_to(request.user).with_counts()

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whoever may use the admin finds the processes they may see."""
        return may_use_admin(request)

    def has_view_permission(self, request: HttpRequest, obj: Process | None = None) -> bool:
        """What `get_queryset` shows may be seen."""
        return may_use_admin(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Who may author here."""
        return may_create(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Process | None = None) -> bool:
        """Who may author this one."""
        return obj is None or may_edit(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Process | None = None) -> bool:
        """Who may author; what still refers to it, `delete_view` says."""
        return obj is not None and may(request.user, Permission.AUTHOR, obj)

    def has_publish_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who may publish this one; unfold gives the number."""
        process = self._one(request, obj)
        return process is not None and process.archived_at is None and may(request.user, Permission.PUBLISH, process)

    def has_duplicate_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who may author here and sees it."""
        return may_create(request.user) and self._one(request, obj) is not None

    def has_put_away_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who may publish it."""
        process = self._one(request, obj)
        return process is not None and may(request.user, Permission.PUBLISH, process)

    def _one(self, request: HttpRequest, obj: Any) -> Process | None:
        if isinstance(obj, Process):
            return obj
        found: Process | None = Process.objects.visible_to(request.user).filter(pk=obj).first()
        return found

    # The page

    @display(description="YAML")
    def as_file(self, process: Process) -> str:
        """The draft as it would be exported."""
        return format_html("<pre>{}</pre>", yaml_text(document_of(process)))

    def get_fieldsets(self, request: HttpRequest, obj: Process | None = None) -> Any:
        """Who may only look sees the file."""
        return self.fieldsets if may_edit(request, obj) else ((None, {"fields": (("name", "identifier"), "description", "category", "as_file")}),)

    def get_inlines(self, request: HttpRequest, obj: Process | None) -> Any:
        """For who may edit."""
        return self.inlines if may_edit(request, obj) else ()

    def get_urls(self) -> list[Any]:
        """With the page's question what is wrong with what is being typed."""
        ask = self.admin_site.admin_view(self.wrong)
        own = [path("add/check/", ask, name="processes_process_add_check"), path("<int:object_id>/check/", ask, name="processes_process_check")]
        return [*own, *super().get_urls()]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """With its phases and activities, what its fields offer, and what is wrong."""
        process = kwargs.get("obj") or context.get("original") or Process()
        more: dict[str, Any] = {"picks": picks_of(process, request.user), "facts": self._facts(request, process) if process.pk else [], "plan": None}
        if inlines := context["inline_admin_formsets"]:
            phases, activities = (inline.formset for inline in inlines)
            plan, lost = plan_of(phases, activities)
            more |= {"plan": plan, "lost": lost, "blank_phase": blank(phases), "blank_activity": blank(activities), "run_when": RUN_WHEN}
            more["found"] = self._found(request, context["adminform"].form, phases, activities)
            name, where = ("processes_process_check", [process.pk]) if process.pk else ("processes_process_add_check", [])
            more["check"] = reverse(f"admin:{name}", args=where)
        shown: HttpResponse = super().render_change_form(request, context | more, *args, **kwargs)
        return shown

    def _facts(self, request: HttpRequest, process: Any) -> list[str]:
        version = f"v{process.newest_number} is published" if process.newest_number else "Never published"
        used = editing.references(process, actor=request.user)
        return [
            version,
            f"draft revision {process.revision}",
            *(fact for fact in used if "published version" not in fact),
            *(["archived"] if process.archived_at else []),
        ]

    def _found(self, request: HttpRequest, main: Any, phases: Any, activities: Any) -> list[dict[str, Any]]:
        """What is wrong with what the page says, or, before anything is sent, with what is saved."""
        if not main.is_bound:
            if not main.instance.pk:
                return []
            document = document_of(main.instance)
            prefixes = {f"/phases/{number}": form.prefix for number, form in enumerate(phases.initial_forms)}
            rows = {form.instance.identifier: form.prefix for form in activities.initial_forms}
            for number, phase in enumerate(document.get("phases", ())):
                prefixes |= {f"/phases/{number}/activities/{place}": rows[item["id"]] for place, item in enumerate(phase.get("activities", ()))}
            return located(publishing.problems_of(document, actor=request.user), prefixes, document)
        whole = [refused(message) for message in main.non_field_errors()]
        if activities.built is not None:
            prefixes = {place: form.prefix for place, form in activities.places.items()}
            return whole + located(publishing.problems_of(activities.built, actor=request.user), prefixes, activities.built)
        parts = [main, *phases.kept(), *activities.kept()]
        said = [(form, name, message) for form in parts for name, found in form.errors.items() if name != "__all__" for message in found]
        of_fields = [
            refused(text, row=form.prefix or "", field=f"{form.prefix}-{name}" if form.prefix else name, where=_called(form, name)) for form, name, text in said
        ]
        return whole + of_fields + [refused(message) for formset in (phases, activities) for message in formset.non_form_errors()]

    def wrong(self, request: HttpRequest, object_id: int | None = None) -> HttpResponse:
        """What is wrong with the page as it is being typed, as JSON; nothing is stored."""
        process = self.get_queryset(request).select_related("updated_by").filter(pk=object_id).first() if object_id else Process()
        if process is None:
            raise Http404
        if not may_edit(request, process):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        change = bool(process.pk)
        form = self.get_form(request, process if change else None, change=change)(request.POST, instance=process)
        (phases, activities), _ = self._create_formsets(request, process, change=change)
        all_valid([phases, activities])
        return JsonResponse({"problems": self._found(request, form, phases, activities)})

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
        if formsets:
            phases, activities = formsets
            activities.main, activities.phases = request.process_form, phases  # type: ignore[attr-defined]
        return formsets, inlines

    def save_model(self, request: HttpRequest, obj: Process, form: Any, change: bool) -> None:
        """Nothing yet: the document is whole with the last formset."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The one door."""
        document = asked_mend(request, formsets[-1].document)
        if change:
            revision = form.cleaned_data["seen"]
            saved = editing.write_draft(form.instance, document, actor=request.user, expected_revision=revision, door=DOOR)
        else:
            saved = editing.create_process(document, actor=request.user, door=DOOR)
        form.instance.__dict__.update(saved.__dict__)
        opened = request.POST.get("_open")
        request.opened = next((row.cleaned_data["identifier"] for row in formsets[-1].given() if row.prefix == opened), "")  # type: ignore[attr-defined]
        for formset in formsets:  # as Django's record of the change wants them
            formset.new_objects, formset.changed_objects, formset.deleted_objects = [], [], []
        if found := errors(publishing.problems_of(document, actor=request.user)):
            count = len(found)
            messages.warning(request, f"The draft is saved. {count} problem{'s' if count > 1 else ''} to solve before it can be published.")

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """On with it after a mend, or with one of its activities."""
        return self._onwards(request, obj) or super().response_change(request, obj)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """The same; a new process is not finished yet, so one stays with it."""
        change = reverse("admin:processes_process_change", args=[obj.pk])
        return self._onwards(request, obj) or super().response_add(request, obj, post_url_continue or change)

    def _onwards(self, request: HttpRequest, process: Process) -> HttpResponse | None:
        if activity := process.draft_activities.filter(identifier=getattr(request, "opened", "")).first():
            return redirect("admin:processes_draftactivity_change", activity.pk)
        return redirect("admin:processes_process_change", process.pk) if "_mend" in request.POST else None

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Refused while something refers to it, saying by what."""
        process = self.get_object(request, object_id)
        if process is not None and self.has_delete_permission(request, process) and (used := editing.references(process, actor=request.user)):
            messages.error(request, f"“{process}” cannot be deleted: {'; '.join(used)}. It can be archived.")
            return redirect("admin:processes_process_change", process.pk)
        shown: HttpResponse = super().delete_view(request, object_id, extra_context)
        return shown

    def delete_model(self, request: HttpRequest, obj: Process) -> None:
        """By the verb."""
        editing.delete(obj, actor=request.user, door=DOOR)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """From the record of what happened, through whatever door; the admin's own knows only its own."""
        process = self._one(request, int(object_id) if object_id.isdecimal() and len(object_id) < 10 else None)
        if process is None:
            raise Http404
        return self._page(request, "history", process, {"events": history_of(process), "title": f"History of {process}"})

    # Actions

    @action(description="Publish…", url_path="publish", permissions=["publish"])
    def publish_draft(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """A page to look once more, then the verb."""
        process = self._visible(request, object_id)
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
            return redirect("admin:processes_process_change", process.pk)
        document = document_of(process)
        found = publishing.problems_of(document, actor=request.user)
        shown = {"problems": located(found, {}, document), "blocked": bool(errors(found)), "title": f"Publish {process}"}
        return self._page(request, "publish", process, shown)

    @action(description="Duplicate…", url_path="duplicate", permissions=["duplicate"])
    def duplicate(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Another process that begins as this draft is."""
        process = self._visible(request, object_id)
        document = document_of(process) | {key: value for key, value in copy_of(process).items() if key in ("id", "name")}
        refusal = None
        if request.method == "POST":
            document |= {"id": request.POST.get("id", "").strip(), "name": request.POST.get("name", "").strip()}
            try:
                made = editing.create_process(document, actor=request.user, door=DOOR)
            except DomainError as found:
                refusal = found
            else:
                messages.success(request, f"“{made}” is a draft of its own now.")
                return redirect("admin:processes_process_change", made.pk)
        said = [problem.message for problem in refusal.problems] if isinstance(refusal, Invalid) else [refusal.message] if refusal else []
        return self._page(request, "duplicate", process, {"copy": document, "refused": said, "title": f"Duplicate {process}"})

    @action(description="Archive…", url_path="archive", permissions=["put_away"])
    def put_away(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Out of the way, or back in use."""
        process = self._visible(request, object_id)
        if request.method == "POST":
            verb = editing.unarchive if process.archived_at else editing.archive
            try:
                verb(process, actor=request.user, reason=request.POST.get("reason", "").strip(), door=DOOR)
                messages.success(request, f"“{process}” is {'archived' if process.archived_at else 'in use again'}.")
            except DomainError as refusal:
                messages.error(request, refusal.message)
            return redirect("admin:processes_process_change", process.pk)
        title = f"Take {process} out of the archive" if process.archived_at else f"Archive {process}"
        return self._page(request, "archive", process, {"title": title})

    def _visible(self, request: HttpRequest, object_id: int) -> Process:
        process = self._one(request, object_id)
        if process is None:
            raise Http404
        return process

    def _page(self, request: HttpRequest, name: str, process: Process, more: dict[str, Any]) -> HttpResponse:
        change = reverse("admin:processes_process_change", args=[process.pk])
        context = self.admin_site.each_context(request) | {"process": process, "change": change, "media": ProcessForm().media} | more
        return render(request, f"admin/processes/{name}.html", context)


def _called(form: Any, name: str) -> str:
    row = str(form["name"].value() or form["identifier"].value() or "") if form.prefix else ""
    return " › ".join(part for part in (row, str(form.fields[name].label or name.replace("_", " "))) if part)


def _listed(problems: list[Problem]) -> str:
    return format_html("<ul>{}</ul>", format_html_join("", "<li>{}: {} <code>{}</code></li>", ((p.severity, p.message, p.place or "/") for p in problems)))
