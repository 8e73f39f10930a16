"""Find releases by anything: the same words on the page and in the API. What is archived is a question to the clock, not a state.

A release is archived when its tree has been over for `RELORCH_ARCHIVE_AFTER` days by the database's clock. Nothing moves it and no job has to run; whatever is
open or not started is never archived, and one that is retried comes back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group
from django.db.models import BooleanField, Exists, F, Func, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Lower, Now
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.timezone import get_current_timezone, is_naive

from processes.blueprint import Category
from processes.models import Process, ProcessVersion
from processes.plain_text import UNSTORABLE
from processes.problems import Problem, did_you_mean
from releases import states
from releases.models import InputValue, Release, RunPerson

WORDS = ("q", "process", "version", "state", "kind", "source", "starter", "person", "tag", "identifier", "release_version", "colour", "value", "from", "until")
"""What can be asked for; together they must all fit."""
MOST_DIGITS = 18
LONGEST = 300
LONGEST_VALUE = 200
"""Characters of a value that can be searched."""
_ONE_OF = {"kind": tuple(str(one) for one in Category), "source": ("ad_hoc", "subprocess"), "archived": ("true", "false", "any")}
_NUMBERS = ("version",)
_TIMES = ("from", "until")


def number_in(text: str) -> int | None:
    """A number that a column can hold, written in plain digits; else None."""
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= MOST_DIGITS else None


def time_in(text: str, *, end: bool = False) -> datetime | None:
    """An instant, or a day in the reader's time zone (its end, for `until`); None for what is neither."""
    try:
        found = parse_datetime(text) if "T" in text or " " in text else None
        if found is None and (day := parse_date(text)) is not None:
            found = datetime(day.year, day.month, day.day) + timedelta(days=int(end))
    except (ValueError, OverflowError):
        return None
    return found.replace(tzinfo=get_current_timezone()) if found is not None and is_naive(found) else found


def wrong_in(asked: Mapping[str, str]) -> list[Problem]:
    """Every word that cannot be understood, each at its place."""
    said = [Problem("invalid", f"{name} holds a character that no text here can have.", f"/{name}") for name in WORDS if UNSTORABLE.search(asked.get(name, ""))]
    said += [Problem("too_long", f"{name} has at most {LONGEST} characters.", f"/{name}") for name in WORDS if len(asked.get(name, "")) > LONGEST]
    for word in asked.get("state", "").split(","):
        if word and word not in set(states.Release):
            said.append(Problem("unknown_state", f'There is no state "{word}".{did_you_mean(word, list(states.Release))}', "/state"))
    said += [Problem("wrong_type", f"{name} is a number.", f"/{name}") for name in _NUMBERS if asked.get(name) and number_in(asked[name]) is None]
    said += [Problem("wrong_type", f"{name} is a day or a time.", f"/{name}") for name in _TIMES if asked.get(name) and time_in(asked[name]) is None]
    for name, words in _ONE_OF.items():
        if asked.get(name, "") not in ("", *words):
            said.append(Problem("wrong_type", f"{name} is {', '.join(words[:-1])} or {words[-1]}.{did_you_mean(asked[name], list(words))}", f"/{name}"))
    return said


def matching(releases: QuerySet[Release], asked: Mapping[str, str], user: Any) -> QuerySet[Release]:
    """Those that fit every word asked for. A word that cannot be understood fits nothing (`wrong_in` says it)."""
    if wrong_in(asked):
        return releases.none()
    for name in WORDS:
        if text := asked.get(name, "").strip():
            releases = releases.filter(_condition(name, text, user))
    return releases


def _condition(name: str, text: str, user: Any) -> Q:
    match name:
        case "q":
            return _text(text)
        case "process":
            return Q(process__identifier=text)
        case "version":
            return Q(version__number=number_in(text))
        case "state":
            return Q(state__in=[word for word in text.split(",") if word])
        case "kind":
            return Q(version__in=ProcessVersion.everything.filter(kind=text).order_by().values("pk"))
        case "source":
            return Q(level__gt=1) if text == "subprocess" else Q(level=1)
        case "starter":
            return _starter(text, user)
        case "person":
            return _takes_part(user.email if text == "me" else text)
        case "tag":
            return Q(tags__contains=[text])
        case "value":
            return given_value(text)
        case "from":
            return Q(finished_at__gte=time_in(text)) | (Q(finished_at__isnull=True) & _begins(gte=time_in(text))) | Q(state__in=sorted(states.LIVE))
        case "until":
            return _begins(lt=time_in(text, end=True))
    return Q(**{name: text})


def _begins(**bound: Any) -> Q:
    ((comparison, at),) = bound.items()
    begun, planned = Q(**{f"started_at__{comparison}": at}), Q(**{f"scheduled_for__{comparison}": at})
    made = Q(started_at__isnull=True, scheduled_for__isnull=True, **{f"created_at__{comparison}": at})
    return begun | (Q(started_at__isnull=True) & planned) | made


def _text(text: str) -> Q:
    number = number_in(text.upper().removeprefix("R-"))
    found = (
        Q(name__icontains=text)
        | Q(identifier__icontains=text)
        | Q(process__in=Process.objects.filter(name__icontains=text).order_by().values("pk"))
        | Q(release_version=text)
        | Q(tags__contains=[text])
    )
    return found if number is None else found | Q(pk=number)


def _starter(text: str, user: Any) -> Q:
    if text == "me":
        return Q(starter=user)
    number = number_in(text)
    return Q(starter__email=text) if number is None else Q(starter_id=number)


def _takes_part(email: str) -> Q:
    groups = Group.objects.filter(user__email=email)
    names = [f"user:{email}", *(f"group:{name}" for name in groups.values_list("name", flat=True))]
    named = RunPerson.objects.filter(Q(user__email=email) | Q(group__in=groups), release=OuterRef("pk"))
    return Q(starter__email=email) | Q(owners__overlap=names) | Q(Exists(named))


def given_value(text: str) -> Q:
    """Whether an input's value is, or begins with, the text in any case; `name=value` looks at one input. Secrets are not among the values."""
    name, equals, value = text.partition("=")
    said = (value if equals else text).strip()[:LONGEST_VALUE]
    fits = Q(value__startswith=Lower(Value(said)))
    if re.fullmatch(r"-?(\d+\.?\d*|\.\d+)", said, re.ASCII):
        fits |= Q(value=f"{Decimal(said).normalize():f}")
    found = InputValue.objects.filter(fits)
    return Q(pk__in=(found.filter(name=name.strip().lower()) if equals else found).values("release_id"))


def archived() -> Q:
    """Those whose tree has been over for long enough."""
    root = Release.objects.filter(pk__gte=OuterRef("root_id"), pk__lte=OuterRef("root_id"))  # asked of children alone, never as the set of all roots
    return (Q(level=1) & _over()) | (Q(level__gt=1) & Q(Exists(root.filter(_over()))))


def _over() -> Q:
    since = Coalesce(F("finished_at"), F("expected_end"), Value(datetime.max.replace(tzinfo=UTC)))
    return Q(state__in=sorted(states.ENDED)) & Q(_Before(since, Now() - Value(timedelta(days=settings.RELORCH_ARCHIVE_AFTER))))


class _Before(Func):
    """`a < b`."""

    template = "(%(expressions)s)"
    arg_joiner = " < "
    output_field = BooleanField()


def kept(releases: QuerySet[Release], which: str) -> QuerySet[Release]:
    """`true`: the archived ones alone; `any`: all; else those that are not archived."""
    if which == "any":
        return releases
    return releases.filter(archived() if which == "true" else ~archived())
