"""Typed readers of environment variables. A value that does not fit ends the start with the variable's name, its value and what would fit."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from zoneinfo import ZoneInfo

from django.core.exceptions import ImproperlyConfigured

_YES = {"1", "true", "yes", "on"}
_NO = {"0", "false", "no", "off"}


def refuse(name: str, value: str, fits: str, *, secret: bool = False) -> ImproperlyConfigured:
    """The error for a value that does not fit; a secret value is not repeated."""
    shown = "(not shown)" if secret else repr(value)
    return ImproperlyConfigured(f"{name} is {shown}, which does not fit. What fits: {fits}.")


def text(name: str, default: str = "") -> str:
    """The value without surrounding spaces; unset or empty gives the default."""
    return os.environ.get(name, "").strip() or default


def flag(name: str, default: bool = False) -> bool:
    """A yes or no."""
    value = text(name)
    if not value:
        return default
    if value.lower() in _YES | _NO:
        return value.lower() in _YES
    raise refuse(name, value, "1, true, yes or on; 0, false, no or off")


def whole(name: str, default: int, *, least: int = 0, most: int | None = None) -> int:
    """A whole number between `least` and `most`."""
    value = text(name)
    if not value:
        return default
    if value.isascii() and value.isdigit() and least <= int(value) and (most is None or int(value) <= most):
        return int(value)
    raise refuse(name, value, f"a whole number from {least}" + (f" to {most}" if most is not None else ""))


def words(name: str) -> list[str]:
    """Items separated by commas, spaces or new lines, each once, in their order."""
    return list(dict.fromkeys(text(name).replace(",", " ").split()))


def folder(name: str, default: Path) -> Path:
    """An absolute path; the folder need not exist yet."""
    value = Path(text(name) or default).expanduser().absolute()
    if value.exists() and not value.is_dir():
        raise refuse(name, str(value), "the path of a folder")
    return value


def zone(name: str, default: str = "UTC") -> str:
    """The name of a time zone."""
    value = text(name, default)
    try:
        ZoneInfo(value)
    except (KeyError, OSError, ValueError):
        raise refuse(name, value, "a time zone's name, for instance Europe/Berlin or UTC") from None
    return value


def base_url(name: str) -> str:
    """`https://host[:port]` without a path, or empty for a local installation."""
    value = text(name).rstrip("/")
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        beside = parts.path or parts.query or parts.fragment or parts.username
        fits = parts.scheme == "https" and bool(parts.hostname) and not beside and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise refuse(name, value, "https://release.example.org (https, a host, perhaps a port, no path); unset it for a local installation")
    return value


def address(name: str) -> str:
    """`http(s)://host[:port]/path` without query and credentials, or empty."""
    value = text(name).rstrip("/")
    try:
        parts = urlsplit(value)
        fits = not value or (parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.query and not parts.username and parts.port != 0)
    except ValueError:
        fits = False
    if not fits:
        raise refuse(name, value, "https://models.example.org/v1 (no query, no credentials)", secret="@" in value)
    return value


def database(name: str, value: str) -> dict[str, Any]:
    """Django's HOST, PORT, USER, PASSWORD, NAME and OPTIONS from a `postgresql://` address."""
    try:
        parts = urlsplit(value)
        port = parts.port or 5432
    except ValueError:
        raise refuse(name, value, "postgresql://user:password@host:port/name", secret=True) from None
    base = unquote(parts.path.lstrip("/"))
    if parts.scheme not in {"postgres", "postgresql"} or not base or "/" in base:
        raise refuse(name, value, "postgresql://user:password@host:port/name (only PostgreSQL 15 or newer is supported)", secret=True)
    options = dict(parse_qsl(parts.query))
    return {
        "NAME": base,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", "") or unquote(parts.hostname or ""),
        "PORT": str(options.pop("port", "") or port),
        "OPTIONS": options,
    }


def manners(role: str) -> str:
    """libpq's `options`: no statement, lock or forgotten transaction holds others for ever (the owner migrates, which may take long), and no statement is
    compiled first: that takes seconds where the planner fears much, and ours are answered in milliseconds."""
    seconds = {"lock_timeout": 10, "statement_timeout": 0 if role == "owner" else 30, "idle_in_transaction_session_timeout": 60}
    return " ".join([*(f"-c {name}={value}s" for name, value in seconds.items()), "-c jit=off"])


def broker(name: str, default: str) -> str:
    """The broker's address; unset is the embedded one, which is a folder."""
    value = text(name, default)
    if urlsplit(value).scheme not in {"folder", "redis", "rediss", "amqp", "amqps", "memory"}:
        raise refuse(name, value, "redis://, rediss://, amqp:// or amqps://user:password@host:port/…; unset it for the embedded broker", secret=True)
    return value


def broker_options(url: str, home: Path) -> dict[str, Any]:
    """Celery's transport options: a broker that does not answer is noticed within seconds, and the embedded one stays inside the home."""
    scheme = urlsplit(url).scheme
    if scheme == "folder":
        return {"home": str(home), "polling_interval": 0.05}
    if scheme.startswith("redis"):
        return {"socket_timeout": 5, "socket_connect_timeout": 2, "socket_keepalive": True, "health_check_interval": 10, "max_retries": 0}
    if scheme.startswith("amqp"):
        return {"connect_timeout": 2, "read_timeout": 15, "write_timeout": 5, "confirm_publish": False, "max_retries": 0}
    return {}


_WEAK = ("insecure", "changeme", "change-me", "change_me", "secret", "password", "example", "default", "development")
_STRONG = "at least 50 random characters (python -c 'import secrets; print(secrets.token_urlsafe(64))')"


def secret_key(name: str, home: Path, *, production: bool, repository: Path) -> str:
    """The key that signs sessions and seals. Unset: made on first use and kept in the home. Production refuses a weak one, and one kept inside the code."""
    value = text(name)
    if not value:
        if production and home.is_relative_to(repository):
            raise refuse(name, value, f"in production {_STRONG}; or unset with a RELORCH_HOME outside {repository}, where one is made and kept")
        return kept(home / "secret_key")
    weak = len(value) < 50 or len(set(value)) < 10 or any(word in value.lower() for word in _WEAK)
    if production and weak:
        raise refuse(name, value, f"in production {_STRONG}", secret=True)
    return value


def mail(name: str) -> dict[str, Any]:
    """Django's mail settings from `smtp://`, `smtps://` or `smtp+tls://user:password@host:port` or `file:///folder`; empty means that no mail is sent."""
    value = text(name)
    if not value:
        return {"EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend"}
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme == "file" and parts.path and not parts.netloc:
        return {"EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend", "EMAIL_FILE_PATH": unquote(parts.path)}
    if parts.scheme not in {"smtp", "smtps", "smtp+tls"} or not parts.hostname:
        raise refuse(name, value, "smtp://, smtp+tls:// or smtps://user:password@host:port?from=relorch@example.org, or file:///folder", secret=True)
    sender = dict(parse_qsl(parts.query)).get("from", f"relorch@{parts.hostname}")
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": port or {"smtp": 25, "smtps": 465, "smtp+tls": 587}[parts.scheme],
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_SSL": parts.scheme == "smtps",
        "EMAIL_USE_TLS": parts.scheme == "smtp+tls",
        "EMAIL_TIMEOUT": 10,
        "DEFAULT_FROM_EMAIL": sender,
        "SERVER_EMAIL": sender,
    }


def one_of(name: str, choices: tuple[str, ...], default: str) -> str:
    """One of a few words."""
    value = text(name, default)
    if value not in choices:
        raise refuse(name, value, " or ".join(choices))
    return value


def kept(path: Path, make: Callable[[], str] = lambda: secrets.token_urlsafe(64)) -> str:
    """The text of a file that only we may read (0600), made on first use; of two processes that make it at once one wins, and both get its text."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, fresh = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp gives mode 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(make())
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(fresh)
        finally:
            Path(fresh).unlink()
    return path.read_text(encoding="utf-8").strip()
