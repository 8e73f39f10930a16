"""`manage.py rotate_secrets`."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from django.core.management import call_command

from processes import input_sets
from processes.models import InputSet
from releases import planning
from releases.engine import Actor
from releases.form_secrets import context_of
from releases.models import Release
from relorch.accounts import authenticators
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


def test_authenticators_move_to_the_new_key_and_their_codes_still_fit(tmp_path: Path, settings: Any) -> None:
    """Apps and recovery codes, also those that were stored before they were encrypted."""
    settings.RELORCH_HOME = tmp_path
    ann, bob = factories.person("ann"), factories.person("bob")
    secret = totp.generate_totp_secret()
    totp.TOTP.activate(ann, secret)
    RecoveryCodes.activate(ann)
    codes = RecoveryCodes(Authenticator.objects.get(user=ann, type="recovery_codes")).get_unused_codes()
    Authenticator.objects.create(user=bob, type="totp", data={"secret": secret})
    before = {row.pk: row.data for row in Authenticator.objects.all()}
    assert secret not in str([row.data for row in Authenticator.objects.filter(user=ann)])
    out = StringIO()
    call_command("rotate_secrets", stdout=out)
    assert "3 authenticators" in out.getvalue()
    after = {row.pk: row for row in Authenticator.objects.all()}
    assert all(after[pk].data != before[pk] for pk in before)
    newest = (tmp_path / "secret-keys").read_text().split(":")[0]
    kept = [value for row in after.values() for name, value in row.data.items() if name in ("secret", "seed")]
    assert [token.split(".")[1] for token in kept] == [newest] * 3
    assert secret not in str(kept)
    code = totp.format_hotp_value(totp.hotp_value(secret, next(iter(totp.yield_hotp_counters_from_time()))))
    assert Authenticator.objects.get(user=ann, type="totp").wrap().validate_code(code)
    assert Authenticator.objects.get(user=bob).wrap().validate_code(code)
    assert Authenticator.objects.get(user=ann, type="recovery_codes").wrap().get_unused_codes() == codes
    secrets.rotate()
    assert authenticators.renew_secrets() == 3
    assert authenticators.renew_secrets() == 0, "it may be repeated"
