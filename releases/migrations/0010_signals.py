"""Signals in (S26): accepted ones, kept until their activity takes them."""

import django.db.models.deletion
import relorch.lib.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("releases", "0009_excludes_starter"),
    ]

    operations = [
        migrations.CreateModel(
            name="Signal",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(help_text="The activity.", max_length=63)),
                ("webhook_id", models.CharField(blank=True, max_length=200)),
                ("payload", relorch.lib.fields.OrderedJSONField(default=dict)),
                ("received_at", models.DateTimeField()),
                ("release", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="signals", to="releases.release")),
                ("taken_by", models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="releases.attempt")),
            ],
            options={
                "ordering": ["id"],
                "constraints": [
                    models.UniqueConstraint(condition=models.Q(("webhook_id", ""), _negated=True), fields=("release", "key", "webhook_id"), name="signal_once"),
                    models.UniqueConstraint(condition=models.Q(("taken_by__isnull", True)), fields=("release", "key"), name="signal_kept"),
                ],
            },
        ),
    ]
