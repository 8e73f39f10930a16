"""The API's addresses under `/api/v1/`. Each app brings a list `routes`; what no route knows is a 404 in the API's own words."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path, re_path
from django.views.decorators.http import require_safe
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiJsonRenderer2, OpenApiYamlRenderer, OpenApiYamlRenderer2
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

import approvals.api
import approvals.checklist_api
import approvals.delegations_api
import approvals.people_api
import approvals.signatures_api
import processes.api
import processes.drafting_api
import processes.input_sets_api
import processes.sharing_api
import processes.storing_api
import releases.api
import releases.plan_api
import releases.saving_api
import releases.signals_api
import releases.talk_api
import releases.upload_api
import relorch.accounts.api
from relorch.lib.rest import View


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the schema names our tokens."""

    target_class = "relorch.accounts.authentication.BearerToken"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """`Authorization: Bearer <token>`."""
        return {"type": "http", "scheme": "bearer", "description": "A token of `manage.py create_token` or of `POST /api/v1/tokens/`."}


class Description(SpectacularAPIView):
    """OpenAPI 3.1: JSON, or YAML with `?format=yaml`."""

    renderer_classes = [OpenApiJsonRenderer2, OpenApiJsonRenderer, OpenApiYamlRenderer2, OpenApiYamlRenderer]

    def get_renderers(self) -> list[BaseRenderer]:
        """`?format=` is ours (REST framework's is off), so it is obeyed here."""
        wanted = self.request.GET.get("format")
        return [kind() for kind in self.renderer_classes if wanted in (None, kind.format)] or super().get_renderers()


@extend_schema(exclude=True)
class Nowhere(View):
    """Every method at an unknown address: 401 for strangers, else 404."""

    def _missing(self, request: Request, *args: object, **kwargs: object) -> Response:
        raise Http404

    get = post = put = patch = delete = _missing


@require_safe
@login_required
def docs(request: HttpRequest) -> HttpResponse:
    """The description, readable and to be tried out; every file of it is ours."""
    return render(request, "api/docs.html")


app_name = "api"
urlpatterns = [
    *processes.drafting_api.routes,
    *processes.api.routes,
    *processes.input_sets_api.routes,
    *processes.sharing_api.routes,
    *processes.storing_api.routes,
    *releases.api.routes,
    *releases.plan_api.routes,
    *releases.saving_api.routes,
    *releases.signals_api.routes,
    *releases.talk_api.routes,
    *releases.upload_api.routes,
    *approvals.api.routes,
    *approvals.people_api.routes,
    *approvals.signatures_api.routes,
    *approvals.delegations_api.routes,
    *approvals.checklist_api.routes,
    *relorch.accounts.api.routes,
    path("schema/", Description.as_view(), name="schema"),
    path("docs/", docs, name="docs"),
    re_path(r"", Nowhere.as_view()),
]
