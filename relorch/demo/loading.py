"""People, groups, processes, input sets and permissions of the demo, from `examples/demo.yaml`. Loading twice changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group
from django.contrib.auth.models import Permission as DjangoPermission
from guardian.shortcuts import assign_perm
from ruamel.yaml import YAML

from processes import editing, input_sets, publishing, reading
from processes.access import Permission
from processes.models import InputSet, Process
from relorch.accounts.models import User
from relorch.demo import DOMAIN, EXAMPLES, PASSWORD

MANAGERS = "release-managers"
"""The group that authors, publishes, starts and operates; everybody else in the demo may look, start and operate."""


def described() -> dict[str, Any]:
    """What `examples/demo.yaml` says."""
    found: dict[str, Any] = YAML(typ="safe").load(EXAMPLES / "demo.yaml")
    return found


def is_a_real_home() -> bool:
    """Whether people work here, and none of them is the demo's: then nobody with a known password may come in."""
    return User.objects.exists() and not User.objects.filter(email__iendswith=DOMAIN).exists()


def load() -> list[User]:
    """Everything that is not there yet; the people, in the file's order."""
    said = described()
    people = [_person(one) for one in said["people"]]
    manager = people[0]
    for name in said["processes"]:
        _process(EXAMPLES / name, manager)
    for one in said["input_sets"]:
        _input_set(one, manager)
    return people


def _person(said: dict[str, Any]) -> User:
    user = User.objects.filter(email=said["email"]).first()
    if user is None:
        user = User.objects.create_user(said["email"], PASSWORD, name=said["name"])
    for name in said["groups"]:
        user.groups.add(Group.objects.get_or_create(name=name)[0])
    if MANAGERS in said["groups"] and not user.is_staff:
        user.is_staff = True
        user.save(update_fields=["is_staff"])
        wanted = DjangoPermission.objects.filter(content_type__app_label__in=["processes"])
        user.user_permissions.add(*wanted)
    return user


def _process(file: Path, manager: User) -> None:
    found = reading.read(file.read_bytes())
    process = Process.objects.filter(identifier=found.document["id"]).first()
    if process is None:
        process = editing.create_process(found.document, actor=manager, door="demo")
    if not process.versions.exists():
        publishing.publish(process, actor=manager, note="The example as it is shipped", door="demo")
    for group in Group.objects.all():
        rights = [Permission.VIEW, Permission.START, Permission.OPERATE]
        if group.name == MANAGERS:
            rights += [Permission.AUTHOR, Permission.PUBLISH]
        for right in rights:
            assign_perm(str(right), group, process)


def _input_set(said: dict[str, Any], manager: User) -> None:
    process = Process.objects.get(identifier=said["process"])
    if not InputSet.objects.filter(process=process, name=said["name"]).exists():
        places = {"examples": str(EXAMPLES), "home": str(settings.RELORCH_HOME)}
        values = {key: value.format_map(places) if isinstance(value, str) else value for key, value in said["values"].items()}
        input_sets.save(process, actor=manager, name=said["name"], description=said.get("description", ""), values=values, door="demo")
