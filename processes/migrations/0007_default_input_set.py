from django.db import migrations, models

import relorch.lib.fields


class Migration(migrations.Migration):
    dependencies = [("processes", "0006_fill_subprocess_uses")]

    operations = [
        migrations.AddField(
            model_name="inputset",
            name="is_default",
            field=models.BooleanField(db_default=False, default=False, help_text="Taken by a start that names none."),
        ),
        migrations.AlterField(
            model_name="inputset",
            name="values",
            field=relorch.lib.fields.OrderedJSONField(default=dict, help_text="By input; a text with `${{ … }}` is worked out when a start takes it over."),
        ),
        migrations.AddConstraint(
            model_name="inputset",
            constraint=models.UniqueConstraint(condition=models.Q(("is_default", True)), fields=("process",), name="input_set_one_default"),
        ),
    ]
