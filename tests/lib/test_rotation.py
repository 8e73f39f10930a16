"""`manage.py rotate_secrets`."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from processes import input_sets
from processes.models import InputSet
from releases import planning
from releases.engine import Actor
from releases.form_secrets import context_of
from releases.models import Release
from relorch.lib import secrets
from tests import factories

pytestmark = pytest.mark.django_db


def test_stored_secrets_move_to_the_new_key_and_still_open(tmp_path: Path, settings: Any) -> None:
    settings.RELORCH_HOME = tmp_path
    owner = factories.person()
    process = factories.process(actor=owner, inputs={"api_key": {"type": "secret"}, "other": {"type": "string"}})
    input_sets.save(process, actor=owner, name="a", values={"api_key": "swordfish", "other": "x"})
    input_sets.save(process, actor=owner, name="b", values={"other": "x"})
    before = InputSet.objects.get(name="a").values
    out = StringIO()
    call_command("rotate_secrets", stdout=out)
    assert "1 input sets" in out.getvalue()
    row = InputSet.objects.get(name="a")
    assert row.values["api_key"] != before["api_key"]
    assert factories.opened(row) == {"api_key": "swordfish", "other": "x"}
    assert (tmp_path / "secret-keys").read_text().count("\n") >= 1


@pytest.mark.django_db(transaction=True)
def test_secrets_of_releases_move_too(tmp_path: Path, settings: Any) -> None:
    settings.RELORCH_HOME = tmp_path
    olga = factories.person("olga")
    process = factories.process(actor=olga, inputs={"api_key": {"type": "secret"}})
    factories.version(process, actor=olga)
    release = planning.start(process=process, given={"api_key": "swordfish"}, actor=Actor(olga.pk, olga.email, "page"), starter=olga)
    before = Release.objects.get(pk=release.pk).inputs
    assert secrets.is_secret(before["api_key"])
    call_command("rotate_secrets", stdout=StringIO())
    after = Release.objects.get(pk=release.pk).inputs
    assert after["api_key"] != before["api_key"]
    assert secrets.opened(after, context_of(release.pk)) == {"api_key": "swordfish"}
