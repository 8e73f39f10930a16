"""JSON that keeps the order of its keys."""

from __future__ import annotations

import json
from typing import Any

from django.db import models
from psycopg.types.json import Json


class OrderedJSONField(models.JSONField):
    """PostgreSQL's `json` instead of `jsonb`: what authors wrote comes back in their order (`jsonb` sorts keys by length)."""

    def db_type(self, connection: Any) -> str:
        """`json`."""
        return "json"

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        """As text, so that the order survives the way in."""
        return value if value is None or hasattr(value, "as_sql") else Json(value)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """psycopg has parsed it already."""
        return json.loads(value) if isinstance(value, str | bytes) else value
