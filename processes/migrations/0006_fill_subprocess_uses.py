from django.db import migrations

# What was published before is found in its documents, once.
FILL = """
INSERT INTO processes_subprocessuse (version_id, called)
SELECT DISTINCT version.id, step->>'process'
FROM processes_processversion version, jsonb_path_query(version.document::jsonb, '$.phases[*].activities[*]') step
WHERE version.resolves_id IS NULL AND step->>'type' = 'subprocess' AND step->>'process' IS NOT NULL
"""


class Migration(migrations.Migration):
    dependencies = [("processes", "0005_versions_used")]

    operations = [migrations.RunSQL(FILL, migrations.RunSQL.noop)]
