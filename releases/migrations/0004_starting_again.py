"""Starting again from a phase: a release comes back from `succeeded` and `aborted` too, and a phase waits until what was stopped has ended."""

from importlib import import_module

import django.contrib.postgres.fields
from django.db import migrations, models

RELEASE = """
aborted>running draft>running draft>scheduled failed>running held>aborted held>running missed>running missed>scheduled
partially_succeeded>running running>aborted running>failed running>held running>partially_succeeded running>succeeded scheduled>aborted
scheduled>cancelled scheduled>missed scheduled>running succeeded>running
"""

_before = import_module("releases.migrations.0002_legal_moves")
_DROP = "DROP TRIGGER legal_move ON releases_release;"


class Migration(migrations.Migration):
    dependencies = [("releases", "0003_talk_and_tasks")]

    operations = [
        migrations.RunSQL(
            _DROP + _before.trigger("releases_release", RELEASE),
            _DROP + _before.trigger("releases_release", _before.RELEASE),
        ),
        migrations.AddField(
            model_name="phaserun",
            name="stopping",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(),
                db_default=[],
                default=list,
                help_text="Attempts that must have stopped before it opens afresh.",
                size=None,
            ),
        ),
        migrations.AddIndex(
            model_name="phaserun",
            index=models.Index(condition=models.Q(("stopping", []), _negated=True), fields=["root"], name="phase_run_stopping"),
        ),
    ]
