"""Forms of saved filters, beside the list of releases. What is wrong is said on the list, which keeps what was asked."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from releases import listing, saving
from releases.models import SavedFilter
from relorch.lib.errors import Conflict, Invalid


@login_required
@require_POST
def save(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """Keep the filters of the address in `query`; with a number change that filter, or delete it, or make it one's default."""
    saved = get_object_or_404(SavedFilter.objects.visible_to(request.user), pk=pk) if pk else None
    if saved and "delete" in request.POST:
        saving.delete(user=request.user, saved=saved)
        messages.success(request, f"The filter {saved.name} was deleted.")
        return redirect("releases:list")
    is_default = "is_default" in request.POST
    if saved and "default" in request.POST:
        saving.make_default(user=request.user, saved=saved, is_default=is_default)
        return redirect(saving.address(saved))
    query = saving.words_in(QueryDict(request.POST.get("query", "")).dict(), list(listing.VIEWS))
    name, groups = request.POST.get("name", ""), request.POST.getlist("groups")
    try:
        kept = saving.save(user=request.user, name=name, query=query, groups=groups, is_default=is_default, saved=saved)
    except (Invalid, Conflict) as error:
        said = [one.message for one in error.problems] if isinstance(error, Invalid) else [error.message]
        request.GET = QueryDict(request.POST.get("query", ""))
        typed = {"name": name, "groups": groups, "is_default": is_default, "problems": said}
        return render(request, "releases/list.html", listing.page_of_list(request, typed=typed), status=error.status)
    messages.success(request, f"The filter {kept.name} is saved.")
    return redirect(saving.address(kept))
