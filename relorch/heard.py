"""Which workers were heard of lately, for whoever asks why something does not move."""

from __future__ import annotations

from datetime import timedelta

from django.db.models.functions import Now

from relorch.models import Pulse

LATELY = timedelta(seconds=20)
"""A pulse is written every two seconds; a worker that drains a long queue hears the clock some seconds late."""
_LANES = {"engine": ("engine", "prepare"), "scripts": ("slow",)}


def lanes_heard() -> frozenset[str]:
    """The lanes whose workers are alive."""
    queues = Pulse.objects.filter(at__gt=Now() - LATELY).values_list("queue", flat=True)
    return frozenset(lane for queue in queues for lane in _LANES.get(queue, ()))
