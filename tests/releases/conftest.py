"""A process with a machine and a person in it, and five people: its owner, the starter, a reader, an approver and a stranger."""

from __future__ import annotations

from typing import Any

import pytest

from processes.models import Process
from relorch.accounts.models import User
from tests import factories
from tests.processes.conftest import Api

INPUTS = {
    "version": {"type": "string", "required": True, "pattern": r"\d+\.\d+"},
    "region": {"type": "choice", "options": ["eu", "us"], "default": "eu"},
    "api_key": {"type": "secret"},
}


def phases(**more: Any) -> list[dict[str, Any]]:
    """Build, then QA decides, then deploy."""
    approval = {"requires": [{"count": 1, "of": ["group:qa"]}], **more}
    return [
        {
            "id": "build",
            "owners": ["group:dev"],
            "activities": [{"id": "compile", "type": "automated", "connector": "noop", "with": {"outputs": {"image": "shop:1"}}}],
        },
        {
            "id": "check",
            "depends_on": ["build"],
            "activities": [{"id": "qa", "type": "manual", "instructions": "Try ${{ inputs.version }}.", "approval": approval}],
        },
        {"id": "ship", "depends_on": ["check"], "activities": [{"id": "deploy", "type": "automated", "connector": "noop"}]},
    ]


@pytest.fixture
def people(transactional_db: None) -> dict[str, User]:
    made = {name: factories.person(name) for name in ("olga", "steve", "rita", "quentin", "quirin", "dora", "sam")}
    factories.group("qa", made["quentin"], made["quirin"])
    factories.group("dev", made["dora"])
    return made


@pytest.fixture
def shop(people: dict[str, User]) -> Process:
    """Published; Steve may start it, Rita may see it."""
    made = factories.process("shop", actor=people["olga"], owners=["user:olga@example.com"], inputs=INPUTS, phases=phases())
    factories.version(made, actor=people["olga"])
    factories.allow(people["steve"], "start", made)
    factories.allow(people["rita"], "view_process", made)
    return made


@pytest.fixture
def api(people: dict[str, User]) -> dict[str, Api]:
    return {name: Api(user) for name, user in people.items()}
