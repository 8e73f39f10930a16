"""The one clock: the database's, which every process of an installation shares."""

from __future__ import annotations

from datetime import datetime

from django.db import connection


def now() -> datetime:
    """This instant; inside a transaction too it goes on."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        at: datetime = cursor.fetchone()[0]
    return at
