"""Only the moves of `releases/states.py` are possible, whoever writes. The lists are frozen here; a test compares them with the tables."""

from django.db import migrations

RUN = """
aborted>pending expired>pending expired>queued failed>pending failed>queued ignored>pending interrupted>aborted interrupted>failed
interrupted>ignored interrupted>pending interrupted>queued interrupted>succeeded on_hold>aborted on_hold>expired on_hold>failed
on_hold>ignored on_hold>pending on_hold>queued on_hold>rejected on_hold>succeeded pending>aborted pending>failed pending>ignored
pending>on_hold pending>queued pending>running pending>skipped queued>aborted queued>failed queued>ignored queued>on_hold queued>pending
queued>running queued>skipped queued>waiting rejected>pending rejected>queued running>aborted running>failed running>ignored
running>interrupted running>on_hold running>pending running>queued running>succeeded running>waiting skipped>pending succeeded>pending
waiting>aborted waiting>expired waiting>failed waiting>ignored waiting>interrupted waiting>on_hold waiting>pending waiting>queued
waiting>rejected waiting>running waiting>skipped waiting>succeeded
"""

RELEASE = """
draft>running draft>scheduled failed>running held>aborted held>running missed>running missed>scheduled partially_succeeded>running
running>aborted running>failed running>held running>partially_succeeded running>succeeded scheduled>aborted scheduled>cancelled
scheduled>missed scheduled>running
"""

ATTEMPT = """
interrupted>aborted interrupted>failed interrupted>succeeded queued>aborted queued>failed queued>running queued>skipped queued>waiting
running>aborted running>failed running>interrupted running>queued running>succeeded running>waiting waiting>aborted waiting>expired
waiting>failed waiting>interrupted waiting>rejected waiting>running waiting>skipped waiting>succeeded
"""

MOVES = {"releases_activityrun": RUN, "releases_release": RELEASE, "releases_attempt": ATTEMPT}

FUNCTION = """
CREATE FUNCTION releases_legal_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% cannot move from % to %', TG_TABLE_NAME, OLD.state, NEW.state USING ERRCODE = 'check_violation', CONSTRAINT = 'legal_move';
END $$;
"""


def trigger(table: str, moves: str) -> str:
    """One that fires only for a move outside the list, so that a legal one costs a comparison."""
    legal = ", ".join(f"'{pair}'" for pair in moves.split())
    return f"""
    CREATE TRIGGER legal_move BEFORE UPDATE OF state ON {table} FOR EACH ROW
    WHEN (OLD.state <> NEW.state AND (OLD.state || '>' || NEW.state) NOT IN ({legal})) EXECUTE FUNCTION releases_legal_move();
    """


class Migration(migrations.Migration):
    dependencies = [("releases", "0001_initial")]

    operations = [
        migrations.RunSQL(FUNCTION, "DROP FUNCTION releases_legal_move();"),
        *(migrations.RunSQL(trigger(table, moves), f"DROP TRIGGER legal_move ON {table};") for table, moves in MOVES.items()),
    ]
