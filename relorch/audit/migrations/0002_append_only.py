"""Events are only ever added. The owner of the tables is refused too; the application role has no right to try."""

from django.db import migrations

CLOSE = """
CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_event FOR EACH ROW EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON audit_event FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only();
ALTER TABLE audit_event ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE audit_event ENABLE ALWAYS TRIGGER append_only_whole;
CREATE TRIGGER append_only BEFORE DELETE ON audit_stream FOR EACH ROW EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON audit_stream FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only();
ALTER TABLE audit_stream ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE audit_stream ENABLE ALWAYS TRIGGER append_only_whole;

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'relorch') THEN
        REVOKE UPDATE, DELETE, TRUNCATE ON audit_event FROM relorch;
        REVOKE DELETE, TRUNCATE ON audit_stream FROM relorch;
    END IF;
END $$;
"""

OPEN = """
DROP TRIGGER append_only ON audit_event;
DROP TRIGGER append_only_whole ON audit_event;
DROP TRIGGER append_only ON audit_stream;
DROP TRIGGER append_only_whole ON audit_stream;
DROP FUNCTION audit_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [migrations.RunSQL(CLOSE, OPEN)]
