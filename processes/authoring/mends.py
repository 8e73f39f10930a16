"""One-click mends on the authors' pages of the admin: what stands there is saved with the warning mended, as one change of the draft."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest

from processes import mending, publishing
from processes.problems import errors


def asked_mend(request: HttpRequest, document: dict[str, Any]) -> dict[str, Any]:
    """The document with what `_mend` asks for, and a message that says so; as it is where nothing is asked for, or the mend would bring new errors."""
    asked = request.POST.get("_mend", "")
    if not asked:
        return document
    code, _, place = asked.partition(":")
    wanted = mending.mended(code, place, document)
    before = {problem.code for problem in errors(publishing.problems_of(document, actor=request.user))}
    new = [problem for problem in errors(publishing.problems_of(wanted, actor=request.user)) if problem.code not in before] if wanted else []
    if wanted is None or new:
        why = new[0].message if new else "The draft is not any more what it was about."
        messages.error(request, f"This cannot be mended by a click: {why} The rest is saved as it was typed.")
        return document
    messages.success(request, "Mended and saved. The difference to the newest version is on the page of versions.")
    return wanted
