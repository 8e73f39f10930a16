"""Locks (S9a): who holds a name, who waits for it, and the way back to the queue for an attempt that waited for one."""

from importlib import import_module

import django.db.models.deletion
from django.db import migrations, models

ATTEMPT = """
interrupted>aborted interrupted>failed interrupted>succeeded queued>aborted queued>failed queued>running queued>skipped queued>waiting
running>aborted running>failed running>interrupted running>queued running>succeeded running>waiting waiting>aborted waiting>expired
waiting>failed waiting>interrupted waiting>queued waiting>rejected waiting>running waiting>skipped waiting>succeeded
"""

_before = import_module("releases.migrations.0002_legal_moves")
_DROP = "DROP TRIGGER legal_move ON releases_attempt;"


class Migration(migrations.Migration):
    dependencies = [("releases", "0006_worded_for")]

    operations = [
        migrations.RunSQL(
            _DROP + _before.trigger("releases_attempt", ATTEMPT),
            _DROP + _before.trigger("releases_attempt", _before.ATTEMPT),
        ),
        migrations.CreateModel(
            name="Lock",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=200)),
                ("gives_way", models.BooleanField(default=False, help_text="Given up while people are waited for (`lock_while_waiting: release`).")),
                (
                    "state",
                    models.CharField(
                        choices=[("free", "free"), ("waiting", "waiting"), ("granted", "granted"), ("held", "held")], default="free", max_length=8
                    ),
                ),
                ("place", models.BigIntegerField(help_text="First come, first served; kept while its release is held.", null=True)),
                ("asked_at", models.DateTimeField(null=True)),
                ("held_at", models.DateTimeField(null=True)),
                ("phase_run", models.OneToOneField(null=True, on_delete=django.db.models.deletion.CASCADE, related_name="lock", to="releases.phaserun")),
                ("release", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="locks", to="releases.release")),
                ("root", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="+", to="releases.release")),
                ("run", models.OneToOneField(null=True, on_delete=django.db.models.deletion.CASCADE, related_name="lock", to="releases.activityrun")),
            ],
            options={
                "ordering": ["place"],
                "indexes": [
                    models.Index(condition=models.Q(("state", "waiting")), fields=["name", "place"], name="lock_queue"),
                    models.Index(condition=models.Q(("state", "granted")), fields=["root"], name="lock_granted"),
                ],
                "constraints": [
                    models.UniqueConstraint(condition=models.Q(("state__in", ["granted", "held"])), fields=("name",), name="lock_has_one_holder"),
                    models.CheckConstraint(
                        condition=models.Q(("phase_run__isnull", True), ("run__isnull", True), _connector="XOR"), name="lock_of_phase_or_run"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("state", "free"), models.Q(("place__isnull", False), ("asked_at__isnull", False)), _connector="OR"),
                        name="lock_asked_has_place",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["free", "waiting"]), ("held_at__gte", models.F("asked_at")), _connector="OR"),
                        name="lock_held_has_time",
                    ),
                ],
            },
        ),
    ]
