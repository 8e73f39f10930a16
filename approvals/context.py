"""What every page with a sidebar shows of the inbox."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest

from approvals.inbox import waiting_count


def inbox_count(request: HttpRequest) -> dict[str, Callable[[], int]]:
    """How many questions wait for the reader; asked only by pages that show it."""

    def count() -> int:
        user: Any = getattr(request, "user", None)
        return waiting_count(user) if user is not None and user.is_authenticated else 0

    return {"inbox_count": count}
