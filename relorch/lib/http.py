"""Errors become answers here and nowhere else: RFC 9457 problem details for programs, a page or a toast for people. Also the headers every answer has."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from csp.constants import HEADER
from csp.utils import build_policy
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler, set_rollback

from relorch.lib.errors import DomainError, Invalid

PROBLEM = "application/problem+json"
API = "/api/"


def problem(status: int, code: str, detail: str, *, title: str = "", problems: list[Any] | None = None, **data: Any) -> dict[str, Any]:
    """The body of an error answer (RFC 9457, with our `code` and, for 422, every problem with its place)."""
    known = {"type": f"urn:relorch:error:{code}", "title": title or HTTPStatus(status).phrase, "status": status, "code": code, "detail": detail}
    body: dict[str, Any] = data | known
    if problems is not None:
        body["problems"] = problems
    return body


def of_domain_error(error: DomainError) -> dict[str, Any]:
    """The body for one of the four kinds of refusal."""
    problems = [found.as_dict() if hasattr(found, "as_dict") else found for found in error.problems] if isinstance(error, Invalid) else None
    return problem(error.status, error.code, error.message, title=error.title, problems=problems, **error.data)


def of_api_exception(error: exceptions.APIException) -> dict[str, Any]:
    """The body for an error of REST framework; its validation errors become problems with places."""
    if isinstance(error, exceptions.ValidationError):
        return problem(422, "invalid", "The request does not fit.", title=Invalid.title, problems=list(_field_problems(error.detail, "")))
    code = error.get_codes()
    return problem(error.status_code, code if isinstance(code, str) else "error", str(error.detail))


def _field_problems(detail: Any, place: str) -> Any:
    """REST framework's nested errors as a flat list, each with a JSON Pointer."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _field_problems(inner, place if name == "non_field_errors" else f"{place}/{str(name).replace('~', '~0').replace('/', '~1')}")
    elif isinstance(detail, list | tuple):
        for number, inner in enumerate(detail):
            yield from _field_problems(inner, f"{place}/{number}" if isinstance(inner, dict | list) else place)
    else:
        yield {"code": getattr(detail, "code", None) or "invalid", "severity": "error", "message": str(detail), "place": place}


def api_problem(error: Exception, context: dict[str, Any]) -> Response | None:
    """REST framework's exception handler. What is none of ours is left to become a plain 500."""
    if isinstance(error, DomainError):
        set_rollback()
        return Response(of_domain_error(error), status=error.status, content_type=PROBLEM)
    if type(error) is LookupError:  # a verb looked for what was deleted a moment ago; a KeyError or IndexError is a mistake of ours
        error = Http404()
    answer = exception_handler(error, context)
    if answer is None:
        return None
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    body = of_api_exception(error) if isinstance(error, exceptions.APIException) else problem(answer.status_code, "error", "Refused.")
    headers = {name: answer[name] for name in ("WWW-Authenticate", "Retry-After") if name in answer}
    return Response(body, status=body["status"], headers=headers, content_type=PROBLEM)


def problem_answer(request: HttpRequest, body: dict[str, Any]) -> HttpResponse:
    """The same error for whoever asks: problem+json under `/api/`, a toast for HTMX, a page for everybody else."""
    status = body["status"]
    if request.path.startswith(API):
        return JsonResponse(body, status=status, content_type=PROBLEM)
    template = "errors/_toast.html" if getattr(request, "htmx", False) else "errors/problem.html"
    return render(request, template, {"problem": body}, status=status)


class problems_as_pages:
    """Makes a page or toast of a DomainError that a view raised."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        """Nothing to do on the way."""
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        """NUL, which PostgreSQL keeps in no text and no browser sends by itself, is refused once for all pages; the API says it at its place."""
        if request.path.startswith(API):
            return None
        told = [request.GET] if getattr(view, "csrf_exempt", False) else [request.GET, request.POST]
        if any("\0" in text for data in told for name, values in data.lists() for text in (name, *values)):
            return problem_answer(request, problem(400, "bad_request", "The request holds a NUL character, which no text can have."))
        return None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Django asks here before it makes a 500."""
        if type(error) is LookupError:  # as in the API
            return handler404(request, error)
        return problem_answer(request, of_domain_error(error)) if isinstance(error, DomainError) else None


def security_headers(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Nothing that a signed-in person sees is kept in a cache; the admin has its own content policy."""

    def handle(request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = get_response(request)
        if request.path.startswith("/admin/"):
            response[HEADER] = build_policy(config=settings.ADMIN_CONTENT_SECURITY_POLICY)
        if not request.path.startswith(settings.STATIC_URL) and not response.has_header("Cache-Control"):
            response["Cache-Control"] = "no-store"
        response.headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()")
        return response

    return handle


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A request that cannot be understood."""
    return problem_answer(request, problem(400, "bad_request", "The request cannot be understood."))


def handler403(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Permission denied outside a verb (the CSRF check has its own view)."""
    return problem_answer(request, problem(403, "not_allowed", "You may not do this."))


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Not there, or not yours to know of: the same answer."""
    return problem_answer(request, problem(404, "not_found", "There is nothing here, or it is not yours to see."))


def handler500(request: HttpRequest) -> HttpResponse:
    """Our fault. Says nothing of what happened; the log does."""
    return problem_answer(request, problem(500, "internal_error", "Something went wrong on our side. It has been noted in the log."))


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form came without its token, or from elsewhere."""
    return problem_answer(request, problem(403, "csrf_failed", "This form has expired, or came from another page. Load the page again and repeat."))
