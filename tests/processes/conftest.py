"""Three people, in every test of the app: the owner, a teammate with one permission or none, and a stranger."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from processes.models import Process
from relorch.accounts.models import User
from tests import factories


class Api:
    """A client of the API that acts for a person by a token."""

    def __init__(self, owner: User | None) -> None:
        self.client = Client(headers={"Authorization": f"Bearer {factories.token(owner)}"} if owner else None)

    def __call__(self, method: str, path: str, body: Any = None, *, content_type: str = "application/json", **headers: str) -> Any:
        """The response; `body` is written as JSON unless it is text already. Names of headers with `_` for `-`."""
        data = body if isinstance(body, str | bytes) else "" if body is None else json.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.generic(method, f"/api/v1/{path}", data, content_type=content_type, headers=named)

    def get(self, path: str, **headers: str) -> Any:
        return self("GET", path, **headers)

    def post(self, path: str, body: Any = None, **more: str) -> Any:
        return self("POST", path, body, **more)

    def put(self, path: str, body: Any = None, **more: str) -> Any:
        return self("PUT", path, body, **more)


@pytest.fixture
def owner(db: None) -> User:
    return factories.person("olga", author=True)


@pytest.fixture
def teammate(db: None) -> User:
    return factories.person("tom")


@pytest.fixture
def stranger(db: None) -> User:
    return factories.person("sam")


@pytest.fixture
def process(owner: User, teammate: User) -> Process:
    """The owner's; the teammate may see it."""
    made = factories.process("standard", actor=owner, owners=["user:olga@example.com"])
    factories.allow(teammate, "view_process", made)
    return made


@pytest.fixture
def as_owner(owner: User) -> Api:
    return Api(owner)


@pytest.fixture
def as_teammate(teammate: User) -> Api:
    return Api(teammate)


@pytest.fixture
def as_stranger(stranger: User) -> Api:
    return Api(stranger)
