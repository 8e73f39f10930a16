"""Settings: nonsense ends the start, naming variable, value and what fits; production refuses what is weak."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from relorch import environment
from tests.house.installation import manage

GOOD = "https://release.example.org"


@pytest.mark.parametrize(
    ("read", "name", "value"),
    [
        (environment.flag, "RELORCH_ALLOW_SCRIPTS", "perhaps"),
        (lambda name: environment.whole(name, 4, least=1), "RELORCH_SCRIPT_SLOTS", "0"),
        (lambda name: environment.whole(name, 4), "RELORCH_GRACE", "-1"),
        (lambda name: environment.whole(name, 4), "RELORCH_GRACE", "ten"),
        (lambda name: environment.whole(name, 4), "RELORCH_API_RATE", "²"),
        (environment.zone, "RELORCH_TIME_ZONE", "Europe/Atlantis"),
        (environment.zone, "RELORCH_TIME_ZONE", "../../etc/passwd"),
        (environment.base_url, "RELORCH_BASE_URL", "http://release.example.org"),
        (environment.base_url, "RELORCH_BASE_URL", "https://release.example.org/path"),
        (environment.base_url, "RELORCH_BASE_URL", "https://user@release.example.org"),
        (environment.base_url, "RELORCH_BASE_URL", "https://release.example.org:port"),
        (environment.base_url, "RELORCH_BASE_URL", "release.example.org"),
        (environment.address, "RELORCH_MODEL_URL", "ftp://models.example.org"),
        (lambda name: environment.one_of(name, ("auto", "required"), "auto"), "RELORCH_SANDBOX", "maybe"),
        (lambda name: environment.folder(name, Path("x")), "RELORCH_HOME", __file__),
    ],
)
def test_nonsense_is_named(monkeypatch: pytest.MonkeyPatch, read, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured) as refused:
        read(name)
    said = str(refused.value)
    assert name in said
    assert value in said
    assert "What fits:" in said


@pytest.mark.parametrize(
    "value", ["sqlite:///db.sqlite3", "mysql://a:pass-word@b/c", "postgresql://a:pass-word@host", "postgresql://a:pass-word@host:x/c", "host=x"]
)
def test_only_postgresql_and_no_password_is_repeated(value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL") as refused:
        environment.database("DATABASE_URL", value)
    assert "pass-word" not in str(refused.value)


def test_a_database_address_in_all_its_parts() -> None:
    found = environment.database("DATABASE_URL", "postgresql://us%40er:p%2Fw@db.example:6432/re%20l?sslmode=require")
    assert found == {"NAME": "re l", "USER": "us@er", "PASSWORD": "p/w", "HOST": "db.example", "PORT": "6432", "OPTIONS": {"sslmode": "require"}}
    assert environment.database("DATABASE_URL", "postgresql:///rel?host=/run/postgresql")["HOST"] == "/run/postgresql"


@pytest.mark.parametrize("value", ["http://x", "sqs://x", "redis"])
def test_a_broker_that_is_none(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("BROKER_URL", value)
    with pytest.raises(ImproperlyConfigured, match="BROKER_URL"):
        environment.broker("BROKER_URL", "folder://home")


def test_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.mail("RELORCH_EMAIL_URL")["EMAIL_BACKEND"].endswith("dummy.EmailBackend")
    monkeypatch.setenv("RELORCH_EMAIL_URL", "smtp+tls://me:p%40ss@mail.example?from=relorch@example.org")
    found = environment.mail("RELORCH_EMAIL_URL")
    assert (found["EMAIL_HOST"], found["EMAIL_PORT"], found["EMAIL_HOST_PASSWORD"], found["EMAIL_USE_TLS"]) == ("mail.example", 587, "p@ss", True)
    assert found["DEFAULT_FROM_EMAIL"] == "relorch@example.org"
    for wrong in ("imap://mail.example", "smtp://", "mail.example", "smtp://mail.example:port"):
        monkeypatch.setenv("RELORCH_EMAIL_URL", wrong)
        with pytest.raises(ImproperlyConfigured, match="RELORCH_EMAIL_URL"):
            environment.mail("RELORCH_EMAIL_URL")


def test_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELORCH_EGRESS_ALLOW", " 10.0.0.0/8, build.example\n10.0.0.0/8  ,")
    assert environment.words("RELORCH_EGRESS_ALLOW") == ["10.0.0.0/8", "build.example"]


@pytest.mark.parametrize("value", ["short", "a" * 80, "django-insecure-" + "abcdefghij" * 6, "changeme" * 8, "x-secret-" + "0123456789abcdef" * 4])
def test_production_refuses_a_weak_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str) -> None:
    monkeypatch.setenv("RELORCH_SECRET_KEY", value)
    with pytest.raises(ImproperlyConfigured, match="RELORCH_SECRET_KEY") as refused:
        environment.secret_key("RELORCH_SECRET_KEY", tmp_path, production=True, repository=Path("/nowhere"))
    assert value not in str(refused.value)
    assert environment.secret_key("RELORCH_SECRET_KEY", tmp_path, production=False, repository=Path("/nowhere")) == value


def test_a_key_is_made_once_and_kept_for_us_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RELORCH_SECRET_KEY")
    first = environment.secret_key("RELORCH_SECRET_KEY", tmp_path / "home", production=False, repository=Path("/nowhere"))
    assert len(first) >= 64
    assert environment.secret_key("RELORCH_SECRET_KEY", tmp_path / "home", production=True, repository=Path("/nowhere")) == first
    assert (tmp_path / "home" / "secret_key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(ImproperlyConfigured, match="RELORCH_HOME"):
        environment.secret_key("RELORCH_SECRET_KEY", tmp_path / "home", production=True, repository=tmp_path)


def test_production_settings_pass_the_deployment_check(tmp_path: Path) -> None:
    done = manage(tmp_path, "check", "--deploy", "--fail-level", "WARNING", RELORCH_BASE_URL=GOOD, RELORCH_SECRET_KEY=secrets.token_urlsafe(64))
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_production_does_not_start_with_a_weak_key(tmp_path: Path) -> None:
    for command in (["check"], ["serve", "--port", "0"]):
        done = manage(tmp_path, *command, RELORCH_BASE_URL=GOOD, RELORCH_SECRET_KEY="changeme")
        assert done.returncode != 0
        assert "RELORCH_SECRET_KEY" in done.stderr
        assert "changeme" not in done.stderr
