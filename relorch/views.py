"""Is it alive, is it ready?"""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from relorch import readiness


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers. Touches neither database nor broker."""
    return JsonResponse({"status": "alive"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when work would be done: database, migrations, broker, worker; else 503. What is wrong is named, the details are in the log.

    `alarms` is the number of forged approvals that hold releases back.
    """
    found = readiness.look()
    answer = JsonResponse({"status": found.status, "checks": found.checks, "alarms": found.alarms}, status=200 if found.ready else 503)
    answer._has_been_logged = True  # type: ignore[attr-defined] # Django would log each 503 as an error
    return answer
