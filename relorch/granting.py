"""What the application role may do: everything with rows, except what a table's own guards forbid to everybody."""

from __future__ import annotations

from django.conf import settings
from django.db import connection

from relorch import databases

_FORBIDDEN = """
SELECT tgrelid::regclass::text,
       concat_ws(', ', CASE WHEN bool_or(tgtype & 8 <> 0) THEN 'DELETE' END, CASE WHEN bool_or(tgtype & 16 <> 0) THEN 'UPDATE' END)
  FROM pg_trigger
 WHERE NOT tgisinternal AND tgenabled = 'A' AND tgtype & 1 <> 0 AND tgtype & 24 <> 0
 GROUP BY tgrelid
"""
"""Triggers that even a replica fires are promises (append-only, never changed): the rights that they refuse are not given either."""


def grant_to_application() -> bool:
    """Run as the owner after migrating. False when owner and application are one role, so that there is nobody to give rights to."""
    role = databases.described("application", settings.RELORCH_HOME)["USER"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user <> %s AND EXISTS (SELECT FROM pg_roles WHERE rolname = %s)", [role, role])
        if not cursor.fetchone()[0]:
            return False
        name = connection.ops.quote_name(role)
        cursor.execute(f"GRANT USAGE ON SCHEMA public TO {name}")
        cursor.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}")
        cursor.execute(f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {name}")
        cursor.execute(_FORBIDDEN)
        for table, rights in cursor.fetchall():
            cursor.execute(f"REVOKE {rights} ON {table} FROM {name}")
    return True
