"""People, and the tokens with which programs act for them."""

from __future__ import annotations

import hashlib
import secrets
from datetime import time, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.validators import validate_email
from django.db import models
from django.db.models.functions import Lower, Now
from django.utils.translation import gettext_lazy as _

LONGEST_TOKEN = timedelta(days=365)
USUAL_TOKEN = timedelta(days=90)


class AddressField(models.EmailField):  # type: ignore[type-arg]
    """An e-mail address; upper and lower case are the same person, so only lower case is stored and looked for."""

    def get_prep_value(self, value: Any) -> Any:
        """The stored form."""
        value = super().get_prep_value(value)
        return value.strip().lower() if isinstance(value, str) else value


class UserManager(BaseUserManager["User"]):
    """Makes people; log-in is by e-mail."""

    use_in_migrations = True

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """A person with that address; without a password they cannot log in by one. Raises ValueError for what is no address."""
        email = (email or "").strip().lower()
        try:
            validate_email(email)
        except Exception as error:
            raise ValueError(f"{email!r} is not an e-mail address") from error
        user = self.model(email=email, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """A person with every permission (`override` included); decides only by the rules."""
        return self.create_user(email, password, **{"is_staff": True, "is_superuser": True, **fields})


class User(AbstractBaseUser, PermissionsMixin):
    """A person."""

    class Theme(models.TextChoices):
        SYSTEM = "", _("As the system")
        LIGHT = "light", _("Light")
        DARK = "dark", _("Dark")

    email = AddressField(_("e-mail"), unique=True, error_messages={"unique": _("Somebody with this address is there already.")})
    name = models.CharField(_("name"), max_length=150, blank=True)
    time_zone = models.CharField(_("time zone"), max_length=64, blank=True, help_text=_("Empty: the installation's."))
    theme = models.CharField(_("theme"), max_length=8, choices=Theme, default=Theme.SYSTEM, blank=True)
    mail_modes = models.JSONField(_("mail"), default=dict, blank=True, help_text=_("Kind of mail: at_once, digest or off; at_once when not said."))
    quiet_from = models.TimeField(_("quiet from"), null=True, blank=True, help_text=_("No mail from then …"))
    quiet_until = models.TimeField(_("quiet until"), null=True, blank=True, help_text=_("… until then, urgent ones apart."))
    digest_at = models.TimeField(_("digest at"), default=time(8), help_text=_("When what is collected is sent, once a day."))
    is_active = models.BooleanField(_("active"), default=True, help_text=_("Whoever has left stays, inactive: their decisions keep a name."))
    is_staff = models.BooleanField(_("may use the admin"), default=False)
    date_joined = models.DateTimeField(_("since"), db_default=Now(), editable=False)

    objects: ClassVar[UserManager] = UserManager()

    EMAIL_FIELD = "email"
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        ordering = ["email"]
        verbose_name = _("person")
        verbose_name_plural = _("people")
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_ci", violation_error_message=_("Somebody with this address is there already."))]

    def __str__(self) -> str:
        return self.display_name

    @property
    def display_name(self) -> str:
        """The name, else what stands before the `@`."""
        return self.name or self.email.partition("@")[0]

    @property
    def zone(self) -> ZoneInfo:
        """Their time zone, else the installation's; one that this machine does not know (any more) is none."""
        try:
            return ZoneInfo(self.time_zone or settings.TIME_ZONE)
        except (KeyError, OSError, ValueError):
            return ZoneInfo(settings.TIME_ZONE)

    def get_full_name(self) -> str:
        """As Django's admin asks for it."""
        return self.display_name

    def get_short_name(self) -> str:
        """As Django's admin asks for it."""
        return self.display_name.split()[0]


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    """Which tokens?"""

    def usable(self) -> ApiTokenQuerySet:
        """Neither expired nor revoked, and their person is active; by the database's clock."""
        return self.filter(expires_at__gt=Now(), revoked_at=None, person__is_active=True)


class ApiToken(models.Model):
    """Acts with all rights of its person until it expires. Only a digest is stored: the secret has 256 random bits, so a fast hash is enough."""

    person = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(_("name"), max_length=100, blank=True)
    prefix = models.CharField(max_length=16, editable=False, help_text=_("The first characters, to tell tokens apart."))
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        verbose_name = _("API token")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(expires_at__gt=models.F("created_at")) & models.Q(expires_at__lte=models.F("created_at") + LONGEST_TOKEN),
                name="api_token_at_most_a_year",
            )
        ]

    def __str__(self) -> str:
        return f"{self.prefix}… {self.name}".strip()

    @staticmethod
    def new_secret() -> str:
        """A fresh secret; its beginning tells secret scanners what it is."""
        return f"relorch_{secrets.token_urlsafe(32)}"

    @staticmethod
    def digest_of(secret: str) -> str:
        """What is stored of a secret."""
        return hashlib.sha256(secret.encode()).hexdigest()
