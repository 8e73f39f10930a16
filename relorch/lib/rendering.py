"""How answers of the API are written. Apart from `rest`, because REST framework imports it while it defines its own views."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rest_framework.renderers import JSONRenderer
from rest_framework.utils.encoders import JSONEncoder

from relorch.audit.chain import instant


class Encoder(JSONEncoder):
    """Times in the one spelling: RFC 3339 in UTC, six digits, `Z`."""

    def default(self, obj: Any) -> Any:
        """What JSON itself does not know."""
        return instant(obj) if isinstance(obj, datetime) else super().default(obj)


class JsonRenderer(JSONRenderer):
    """JSON in UTF-8."""

    encoder_class = Encoder
