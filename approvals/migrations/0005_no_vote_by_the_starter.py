"""The database itself refuses a vote of, or for, the starter where the approval leaves out the starter; and that an attempt forgets that it does (A-05)."""

from django.db import migrations

CLOSE = """
CREATE FUNCTION approvals_not_the_starter() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM releases_attempt a JOIN releases_release r ON r.id = a.release_id
        WHERE a.id = NEW.attempt_id AND a.excludes_starter
            AND (NEW.person_id = r.starter_id OR NEW.for_person_id = r.starter_id
                OR to_jsonb(r.prepared_by) @> to_jsonb(NEW.person_id) OR to_jsonb(r.prepared_by) @> to_jsonb(NEW.for_person_id))
    ) THEN
        RAISE EXCEPTION 'who started the release does not decide here' USING ERRCODE = 'check_violation', CONSTRAINT = 'not_the_starter';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER not_the_starter BEFORE INSERT OR UPDATE ON approvals_signoff FOR EACH ROW EXECUTE FUNCTION approvals_not_the_starter();

CREATE FUNCTION approvals_still_excludes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an approval that leaves out the starter goes on to' USING ERRCODE = 'check_violation', CONSTRAINT = 'still_excludes_starter';
END $$;
CREATE TRIGGER still_excludes BEFORE UPDATE OF excludes_starter ON releases_attempt FOR EACH ROW
    WHEN (OLD.excludes_starter AND NOT NEW.excludes_starter) EXECUTE FUNCTION approvals_still_excludes();
"""

OPEN = """
DROP TRIGGER still_excludes ON releases_attempt;
DROP FUNCTION approvals_still_excludes();
DROP TRIGGER not_the_starter ON approvals_signoff;
DROP FUNCTION approvals_not_the_starter();
"""


class Migration(migrations.Migration):
    dependencies = [("approvals", "0004_signatures"), ("releases", "0009_excludes_starter")]

    operations = [migrations.RunSQL(CLOSE, OPEN)]
