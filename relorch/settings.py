"""Every setting, from the environment. Unset means a local installation that needs nothing; nonsense ends the start.

`RELORCH_BASE_URL=https://…` turns on what production needs: secure cookies, HSTS, one allowed host, no weak secret.
Names and meanings: `docs/operations.md`.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.templatetags.static import static

from relorch import databases, environment

BASE_DIR = Path(__file__).resolve().parent.parent

# Where we are

RELORCH_HOME = environment.folder("RELORCH_HOME", BASE_DIR / "var")
RELORCH_BASE_URL = environment.base_url("RELORCH_BASE_URL")
PRODUCTION = bool(RELORCH_BASE_URL)
DEBUG = False
RELORCH_ALLOW_SCRIPTS = environment.flag("RELORCH_ALLOW_SCRIPTS")
RELORCH_SCRIPT_SLOTS = environment.whole("RELORCH_SCRIPT_SLOTS", max(4, os.cpu_count() or 1), least=1, most=256)
RELORCH_EGRESS_ALLOW = environment.words("RELORCH_EGRESS_ALLOW")
RELORCH_SANDBOX = environment.one_of("RELORCH_SANDBOX", ("auto", "required", "off"), "auto")
RELORCH_GRACE = environment.whole("RELORCH_GRACE", 10, most=600)
RELORCH_DEAF_AFTER = environment.whole("RELORCH_DEAF_AFTER", 20, least=5, most=600)
RELORCH_LEASE = environment.whole("RELORCH_LEASE", 30, least=3, most=600)
RELORCH_KEEP_WORK = environment.whole("RELORCH_KEEP_WORK", 7, least=1, most=3650)  # days
RELORCH_ARCHIVE_AFTER = environment.whole("RELORCH_ARCHIVE_AFTER", 365, least=1, most=36_500)  # days
RELORCH_RETENTION = environment.whole("RELORCH_RETENTION", 365, most=36_500)  # days
RELORCH_API_RATE = environment.whole("RELORCH_API_RATE", 6000)
RELORCH_MODEL_URL = environment.address("RELORCH_MODEL_URL")  # an endpoint that speaks OpenAI's protocol; unset: texts are read by rules alone
RELORCH_MODEL_NAME = environment.text("RELORCH_MODEL_NAME", "default")
RELORCH_MODEL_KEY = environment.text("RELORCH_MODEL_KEY")

# Secrets

SECRET_KEY = environment.secret_key("RELORCH_SECRET_KEY", RELORCH_HOME, production=PRODUCTION, repository=BASE_DIR)

# What it is made of

INSTALLED_APPS = [
    "relorch",
    "relorch.accounts",
    "relorch.audit",
    "relorch.requests",
    "processes",
    "releases",
    "approvals",
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "guardian",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "csp",
    "pgtrigger",
]

MIDDLEWARE = [
    "relorch.lib.http.security_headers",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "relorch.lib.static.StaticFiles",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "relorch.accounts.middleware.session_ends",
    "relorch.accounts.middleware.own_time_zone",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "relorch.lib.http.problems_as_pages",
]

ROOT_URLCONF = "relorch.urls"
ASGI_APPLICATION = "relorch.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "approvals.context.inbox_count",
            ],
            "libraries": {"ui": "relorch.lib.templatetags.ui"},
        },
    }
]
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "relorch.lib.static.VersionedStorage"},
}
WHITENOISE_USE_FINDERS = True  # no collectstatic step; files are found once, at the start
WHITENOISE_MAX_AGE = 24 * 3600
WHITENOISE_ALLOW_ALL_ORIGINS = False
MEDIA_ROOT = RELORCH_HOME / "files"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20_000  # the admin's page of a process with some hundred activities is one form
APPEND_SLASH = True

# Database

RELORCH_EMBEDDED_DATABASE = not environment.text("DATABASE_URL")
_ROLE = environment.one_of("RELORCH_DATABASE_ROLE", ("application", "owner"), "application")  # manage.py sets it for migrate
DATABASES = {"default": databases.described(_ROLE, RELORCH_HOME)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PGTRIGGER_MIGRATIONS = True

# Work: messages are only doorbells (reliability, rule 1)

RELORCH_EMBEDDED_BROKER = not environment.text("BROKER_URL")
CELERY_BROKER_URL = environment.broker("BROKER_URL", default="folder://home")
CELERY_BROKER_TRANSPORT_OPTIONS = environment.broker_options(CELERY_BROKER_URL, RELORCH_HOME / "broker")
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_HEARTBEAT = 10
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_DEFAULT_QUEUE = "engine"
CELERY_TASK_DEFAULT_DELIVERY_MODE = "transient"
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_DB_REUSE_MAX = 1_000_000  # else Celery closes the connection around every task
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"  # nothing to remember: what is due is known by the database
CELERY_BEAT_MAX_LOOP_INTERVAL = 1
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "releases.tasks.sweep", "schedule": 1.0, "options": {"queue": "engine", "expires": 5}},
    "remind": {"task": "approvals.tasks.remind", "schedule": 2.0, "options": {"queue": "engine", "expires": 5}},
    "tidy": {"task": "releases.tasks.tidy", "schedule": 3600.0, "options": {"queue": "scripts", "expires": 600}},
    "pulse": {"task": "relorch.tasks.pulse", "schedule": 2.0, "args": ["engine"], "options": {"queue": "engine", "expires": 5}},
    "pulse of scripts": {"task": "relorch.tasks.pulse", "schedule": 2.0, "args": ["scripts"], "options": {"queue": "scripts", "expires": 5}},
}

# People

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "allauth.account.auth_backends.AuthenticationBackend",
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator", "OPTIONS": {"user_attributes": ("email", "name")}},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
ANONYMOUS_USER_NAME = None
GUARDIAN_MONKEY_PATCH_USER = False
GUARDIAN_MONKEY_PATCH_GROUP = False
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "relorch.accounts.adapter.Adapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 60  # a passkey signs for its person: adding one asks for the password unless it was just given
ACCOUNT_RATE_LIMITS = {"login": "60/m/ip", "login_failed": "20/15m/ip,5/15m/key"}
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if PRODUCTION else "http"
MFA_ADAPTER = "relorch.accounts.adapter.MfaAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_WEBAUTHN_USER_VERIFICATION = "required"
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not PRODUCTION  # browsers allow passkeys over plain HTTP for `localhost` alone
MFA_ALLOW_UNVERIFIED_EMAIL = True  # an administrator makes people; nobody registers
MFA_TOTP_ISSUER = "relorch"

# The edge

_HOST = urlsplit(RELORCH_BASE_URL).hostname
ALLOWED_HOSTS = [*([_HOST] if _HOST else []), "127.0.0.1", "localhost", "[::1]"]
CSRF_FAILURE_VIEW = "relorch.lib.http.csrf_failed"
CSRF_TRUSTED_ORIGINS = [RELORCH_BASE_URL] if PRODUCTION else []
SESSION_COOKIE_NAME = "__Host-relorch-session" if PRODUCTION else "relorch-session"
CSRF_COOKIE_NAME = "__Host-relorch-csrf" if PRODUCTION else "relorch-csrf"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PRODUCTION
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_IDLE_AGE = 30 * 60
SECURE_SSL_REDIRECT = PRODUCTION
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if PRODUCTION else None
SECURE_HSTS_SECONDS = 2 * 365 * 24 * 3600 if PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = PRODUCTION
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
    }
}
# The staff-only admin alone: unfold needs inline style and Alpine's evaluation (reliability, W-02).
ADMIN_CONTENT_SECURITY_POLICY = CONTENT_SECURITY_POLICY["DIRECTIVES"] | {
    "script-src": [SELF, UNSAFE_EVAL, UNSAFE_INLINE],
    "style-src": [SELF, UNSAFE_INLINE],
}

# Chrome is ink on neutral, because colour means state: what unfold calls primary is the ink of tokens.css, lighter where the ground is dark.
_INK = ("#f6f7f9", "#f0f2f5", "#e4e7ec", "#ccd2da", "#929ba7", "#5f6874", "#20252d", "#363d48", "#262b32", "#191d23", "#14171b")
UNFOLD = {
    "SITE_TITLE": "relorch",
    "SITE_HEADER": "relorch",
    "SITE_SUBHEADER": "Administration",
    "STYLES": [lambda request: static("authoring/admin.css")],
    "COLORS": {"primary": dict(zip(("50", *(f"{step}00" for step in range(1, 10)), "950"), _INK, strict=True))},
}

# API

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["relorch.accounts.authentication.BearerToken", "rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_THROTTLE_CLASSES": ["relorch.accounts.authentication.ApiRate"],
    "DEFAULT_RENDERER_CLASSES": ["relorch.lib.rendering.JsonRenderer"],
    "DEFAULT_PARSER_CLASSES": ["processes.parsing.JsonBody", "processes.parsing.YamlBody"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "relorch.lib.http.api_problem",
    "URL_FORMAT_OVERRIDE": None,
    "COMPACT_JSON": True,
    "NUM_PROXIES": 0,
}
SPECTACULAR_SETTINGS = {
    "ENUM_NAME_OVERRIDES": {f"{name.title()}StateEnum": f"releases.serializers.{name}_STATES" for name in ("RELEASE", "RUN", "PHASE")}
    | {"StateEnum": "releases.serializers.STATES", "ReleaseKindEnum": "releases.serializers.RELEASE_KINDS"},
    "TITLE": "relorch",
    "DESCRIPTION": "Release orchestration: processes, releases, sign-offs.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# Words, times, mail, log

LANGUAGE_CODE = "en-gb"
USE_I18N = True
USE_TZ = True
TIME_ZONE = environment.zone("RELORCH_TIME_ZONE")
globals().update(environment.mail("RELORCH_EMAIL_URL"))
RELORCH_MAIL = bool(environment.text("RELORCH_EMAIL_URL"))
RELORCH_MAIL_CODES = RELORCH_MAIL and environment.flag("RELORCH_MAIL_CODES")  # people may decide from a mail with a code, without signing in
RELORCH_LOCAL_URL = environment.text("RELORCH_LOCAL_URL", "http://127.0.0.1:8000")  # where a local installation is reached; `serve` says it to its children
if RELORCH_MAIL:
    CELERY_BEAT_SCHEDULE |= {
        "relay": {"task": "relorch.tasks.relay", "schedule": 2.0, "options": {"queue": "engine", "expires": 5}},
        "post": {"task": "relorch.tasks.post", "schedule": 20.0, "options": {"queue": "scripts", "expires": 30}},
    }
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "django": {"level": "INFO", "propagate": True, "handlers": []},
        "django.request": {"level": "ERROR"},
        "celery": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        "uvicorn": {"level": "WARNING"},
    },
}
