"""What a release says of itself, and when it is to start."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
from django.conf import settings
from django.db import migrations, models

from releases import overview


def _names(apps, schema_editor):
    Release = apps.get_model("releases", "Release")
    for release in Release.objects.all().iterator():
        if release.parent_run_id is None:
            release.identifier = overview.identifier_from(release.name, release.pk)
        release.prepared_by = [release.starter_id]
        release.save(update_fields=["identifier", "prepared_by"])


class Migration(migrations.Migration):
    dependencies = [
        ("processes", "0002_frozen_version"),
        ("releases", "0004_starting_again"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="release",
            name="auto_start",
            field=models.BooleanField(db_default=False, default=False, help_text="The clock starts it; else it waits for a person at its time."),
        ),
        migrations.AddField(
            model_name="release",
            name="colour",
            field=models.CharField(
                blank=True,
                choices=[
                    ("grey", "grey"),
                    ("red", "red"),
                    ("orange", "orange"),
                    ("amber", "amber"),
                    ("green", "green"),
                    ("teal", "teal"),
                    ("blue", "blue"),
                    ("violet", "violet"),
                    ("pink", "pink"),
                ],
                db_default="",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="release",
            name="description",
            field=models.TextField(blank=True, db_default=""),
        ),
        migrations.AddField(
            model_name="release",
            name="due_since",
            field=models.DateTimeField(help_text="Its time has come and it waits for a person to start it.", null=True),
        ),
        migrations.AddField(
            model_name="release",
            name="expected_end",
            field=models.DateTimeField(
                help_text="One week after the start unless said otherwise; a scheduled release that has not started by then is missed.", null=True
            ),
        ),
        migrations.AddField(
            model_name="release",
            name="identifier",
            field=models.CharField(blank=True, db_default="", help_text="Of a root: made from the name, editable, one of its kind.", max_length=100),
        ),
        migrations.AddField(
            model_name="release",
            name="links",
            field=models.JSONField(db_default=[], default=list, help_text="Tickets, documents, dashboards: [{url, title}]."),
        ),
        migrations.AddField(
            model_name="release",
            name="owners",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=200),
                db_default=[],
                default=list,
                help_text="Instead of the process's owners, for this release.",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="release",
            name="phase_owners",
            field=models.JSONField(db_default={}, default=dict, help_text="Instead of a phase's owners, for this release: {phase: [owner]}."),
        ),
        migrations.AddField(
            model_name="release",
            name="prepared_by",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(), db_default=[], default=list, help_text="Who made, changed, scheduled or started it (S14).", size=None
            ),
        ),
        migrations.AddField(
            model_name="release",
            name="release_version",
            field=models.CharField(blank=True, db_default="", help_text="What goes out: digits and dots.", max_length=50),
        ),
        migrations.AddField(
            model_name="release",
            name="tags",
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=50), db_default=[], default=list, size=None),
        ),
        migrations.AddField(
            model_name="release",
            name="version_pinned",
            field=models.BooleanField(db_default=False, default=False, help_text="Starts with this very version; else, scheduled, with the newest."),
        ),
        migrations.RunPython(_names, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="release",
            index=models.Index(condition=models.Q(("state", "scheduled")), fields=["expected_end"], name="release_to_be_missed"),
        ),
        migrations.AddIndex(
            model_name="release",
            index=django.contrib.postgres.indexes.GinIndex(fields=["tags"], name="release_tags"),
        ),
        migrations.AddConstraint(
            model_name="release",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state__in", ["scheduled", "missed", "cancelled"]), _negated=True),
                    models.Q(("scheduled_for__isnull", False), ("expected_end__gt", models.F("scheduled_for"))),
                    _connector="OR",
                ),
                name="release_scheduled_has_times",
            ),
        ),
        migrations.AddConstraint(
            model_name="release",
            constraint=models.CheckConstraint(
                condition=models.Q(("colour__in", ["", "grey", "red", "orange", "amber", "green", "teal", "blue", "violet", "pink"])), name="release_colour"
            ),
        ),
        migrations.AddConstraint(
            model_name="release",
            constraint=models.UniqueConstraint(condition=models.Q(("identifier", ""), _negated=True), fields=("identifier",), name="release_identifier"),
        ),
    ]
