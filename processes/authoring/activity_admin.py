"""One activity of a draft on a page of its own: every key of the file as a form that fits its type and connector."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from unfold.admin import ModelAdmin

from processes import editing, publishing
from processes.authoring.located import located, refused
from processes.authoring.mends import asked_mend
from processes.authoring.picks import picks_of
from processes.authoring.rights import may_edit, may_use_admin
from processes.drafts import document_of
from processes.forms import ActivityPageForm
from processes.models import DraftActivity, Process
from processes.problems import within

DOOR = "admin"


@admin.register(DraftActivity)
class ActivityAdmin(ModelAdmin):
    """It is reached from the page of its process, saved with the whole draft, and has no list."""

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
        return may_use_admin(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """With its process."""
        return obj is None or may_edit(request, obj.process)

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

    def get_urls(self) -> list[Any]:
        """With the page's question what is wrong with what is being typed."""
        check = path("<int:object_id>/check/", self.admin_site.admin_view(self.wrong), name="processes_draftactivity_check")
        return [check, *super().get_urls()]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The field is made with the form, because connectors are known then."""
        return ActivityPageForm

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """One for all: the form is the activity."""
        return ((None, {"fields": self.fields}),)

    def wrong(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """What is wrong with the activity as it is being typed, as JSON; nothing is stored."""
        activity = self.get_queryset(request).filter(pk=object_id).first()
        if activity is None:
            raise Http404
        if not may_edit(request, activity.process):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        return JsonResponse({"problems": self._found(request, ActivityPageForm(request.POST, instance=activity), activity)})

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        """With what can be picked and what is wrong with it."""
        activity = kwargs.get("obj") or context.get("original")
        more = {
            "found": self._found(request, context["adminform"].form, activity),
            "picks": picks_of(activity.process, request.user),
            "check": reverse("admin:processes_draftactivity_check", args=[activity.pk]),
        }
        shown: HttpResponse = super().render_change_form(request, context | more, *args, **kwargs)
        return shown

    def _found(self, request: HttpRequest, form: Any, activity: DraftActivity) -> list[dict[str, Any]]:
        if form.is_bound and not form.is_valid() and not form.document:
            return [refused(message, field=name) for name, messages_ in form.errors.items() for message in messages_]
        document = form.document if form.is_bound else document_of(activity.process)
        place = _place_of(activity)
        mine = [problem for problem in publishing.problems_of(document, actor=request.user) if within(problem.place, place)]
        whole = [refused(message) for message in (form.non_field_errors() if form.is_bound else ())]
        return whole + located(mine, {place: "activity."}, document)

    def save_model(self, request: HttpRequest, obj: DraftActivity, form: Any, change: bool) -> None:
        """The one door."""
        document = asked_mend(request, form.document)
        editing.write_draft(obj.process, document, actor=request.user, expected_revision=form.cleaned_data["seen"], door=DOOR)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Nothing beside it."""

    def response_change(self, request: HttpRequest, obj: DraftActivity) -> HttpResponse:
        """Back to its process, or on with it."""
        if "_mend" in request.POST:
            return redirect(request.path)
        messages.success(request, f"“{obj}” is saved.")
        return redirect(request.path) if "_continue" in request.POST else redirect("admin:processes_process_change", obj.process_id)


def _place_of(activity: DraftActivity) -> str:
    phases = list(activity.process.draft_phases.order_by("position", "id").values_list("pk", flat=True))
    inside = list(activity.phase.draft_activities.order_by("position", "id").values_list("pk", flat=True))
    return f"/phases/{phases.index(activity.phase_id)}/activities/{inside.index(activity.pk)}"
