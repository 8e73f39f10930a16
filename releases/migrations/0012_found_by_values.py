"""The values given to releases are found by an index, which a trigger keeps whoever writes; indexes for lists of 100,000 releases."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

VALUES = """
CREATE FUNCTION releases_values_of(given jsonb) RETURNS TABLE (name text, value text) LANGUAGE sql IMMUTABLE AS $$
    SELECT lower(pair.key), CASE jsonb_typeof(one) WHEN 'number' THEN trim_scale((one #>> '{}')::numeric)::text ELSE left(lower(one #>> '{}'), 200) END
    FROM jsonb_each(CASE jsonb_typeof(given) WHEN 'object' THEN given ELSE '{}' END) AS pair,
        jsonb_array_elements(CASE jsonb_typeof(pair.value) WHEN 'array' THEN pair.value ELSE jsonb_build_array(pair.value) END) AS one
    WHERE jsonb_typeof(one) IN ('string', 'number', 'boolean')
$$;
CREATE FUNCTION releases_keep_values() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM releases_inputvalue WHERE release_id = OLD.id;
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    INSERT INTO releases_inputvalue (release_id, name, value) SELECT NEW.id, found.name, found.value FROM releases_values_of(NEW.inputs::jsonb) AS found;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_values AFTER INSERT OR UPDATE OF inputs ON releases_release FOR EACH ROW EXECUTE FUNCTION releases_keep_values();
CREATE TRIGGER drop_values BEFORE DELETE ON releases_release FOR EACH ROW EXECUTE FUNCTION releases_keep_values();
INSERT INTO releases_inputvalue (release_id, name, value)
    SELECT r.id, found.name, found.value FROM releases_release r, releases_values_of(r.inputs::jsonb) AS found;
"""
NO_VALUES = """
DROP TRIGGER keep_values ON releases_release; DROP TRIGGER drop_values ON releases_release;
DROP FUNCTION releases_keep_values(); DROP FUNCTION releases_values_of(jsonb);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("processes", "0003_activity_store"),
        ("releases", "0011_attempts_noted"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="InputValue",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.TextField(help_text="Of the input, in small letters.")),
                ("value", models.TextField(help_text="In small letters, its first 200; of a list one row for each value; numbers without closing zeros.")),
            ],
        ),
        migrations.AddIndex(
            model_name="release",
            index=models.Index(fields=["starter", "process"], name="release_starter_process"),
        ),
        migrations.AddIndex(
            model_name="release",
            index=models.Index(condition=models.Q(("release_version", ""), _negated=True), fields=["release_version"], name="release_version_said"),
        ),
        migrations.AddIndex(
            model_name="runperson",
            index=models.Index(condition=models.Q(("user__isnull", False)), fields=["user", "release"], name="run_person_of_user"),
        ),
        migrations.AddIndex(
            model_name="runperson",
            index=models.Index(condition=models.Q(("group__isnull", False)), fields=["group", "release"], name="run_person_of_group"),
        ),
        migrations.AddField(
            model_name="inputvalue",
            name="release",
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="+", to="releases.release"),
        ),
        migrations.AddIndex(
            model_name="inputvalue",
            index=models.Index(fields=["value"], name="input_value", opclasses=["text_pattern_ops"]),
        ),
        migrations.RunSQL(VALUES, NO_VALUES),
    ]
