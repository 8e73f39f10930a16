"""A published version is never changed or deleted, not by the tables' owner either."""

from django.db import migrations

FREEZE = """
CREATE FUNCTION processes_frozen_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a published version of a process never changes' USING ERRCODE = 'restrict_violation', HINT = 'Publish a new version.';
END $$;

CREATE TRIGGER frozen_version BEFORE UPDATE OR DELETE ON processes_processversion FOR EACH ROW EXECUTE FUNCTION processes_frozen_version();
CREATE TRIGGER frozen_versions BEFORE TRUNCATE ON processes_processversion FOR EACH STATEMENT EXECUTE FUNCTION processes_frozen_version();
ALTER TABLE processes_processversion ENABLE ALWAYS TRIGGER frozen_version;
ALTER TABLE processes_processversion ENABLE ALWAYS TRIGGER frozen_versions;

CREATE TRIGGER frozen_version BEFORE UPDATE OR DELETE ON processes_processversion_authors FOR EACH ROW EXECUTE FUNCTION processes_frozen_version();
CREATE TRIGGER frozen_versions BEFORE TRUNCATE ON processes_processversion_authors FOR EACH STATEMENT EXECUTE FUNCTION processes_frozen_version();
ALTER TABLE processes_processversion_authors ENABLE ALWAYS TRIGGER frozen_version;
ALTER TABLE processes_processversion_authors ENABLE ALWAYS TRIGGER frozen_versions;

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'relorch') THEN
        REVOKE UPDATE, DELETE, TRUNCATE ON processes_processversion, processes_processversion_authors FROM relorch;
    END IF;
END $$;
"""

THAW = """
DROP TRIGGER frozen_version ON processes_processversion_authors;
DROP TRIGGER frozen_versions ON processes_processversion_authors;
DROP TRIGGER frozen_version ON processes_processversion;
DROP TRIGGER frozen_versions ON processes_processversion;
DROP FUNCTION processes_frozen_version();
"""


class Migration(migrations.Migration):
    dependencies = [("processes", "0001_initial")]

    operations = [migrations.RunSQL(FREEZE, THAW)]
