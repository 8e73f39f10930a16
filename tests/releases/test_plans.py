"""Plans before the start: the shape, what history says, and that nothing at all is changed (peer defect 22)."""

from __future__ import annotations

import hashlib
import socket
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from releases import doorbell, estimates, plans
from releases.models import ActivityRun, Attempt
from relorch.accounts.models import User
from tests import factories
from tests.processes.conftest import Api
from tests.releases.driving import run_on, started
from tests.releases.scenes import fresh, manual, noop, phase, script, sub

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbell, "ring", lambda *_: None)
    estimates.forget()


@pytest.fixture
def olga() -> User:
    return factories.person("olga")


def shop(olga: User) -> Any:
    factories.group("qa", factories.person("quentin"))
    inner = factories.process("inner", actor=olga, owners=["user:olga@example.com"], phases=[phase("in", manual("deep", of=("group:qa",)))])
    factories.version(inner, actor=olga)
    inputs = {
        "version": {"type": "string", "required": True},
        "region": {"type": "choice", "options": ["eu", "us"], "default": "eu"},
        "key": {"type": "secret"},
    }
    phases = [
        phase("build", noop("compile", expected="5m"), script("tests", "compile", expected="10m")),
        phase("check", manual("qa", of=("group:qa", "user:olga@example.com")), depends_on=["build"]),
        phase("eu", noop("eu_only", "qa"), **{"if": "inputs.region == 'eu'"}, depends_on=["check"]),
        phase("ship", noop("deploy", **{"if": "activities.compile.outputs.ok == true"}), sub("roll", "inner", "deploy"), depends_on=["check"]),
        phase("undo", noop("back"), run_when="failed", depends_on=["ship"]),
    ]
    process = factories.process(
        "shop", actor=olga, owners=["user:olga@example.com"], inputs=inputs, variables={"image": "shop:${{ inputs.version }}"}, phases=phases
    )
    factories.version(process, actor=olga)
    return process


def digests() -> dict[str, str]:
    """What every table holds, and where every sequence stands."""
    found = {}
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in cursor.fetchall():
            if table == "accounts_apitoken":
                continue  # who asked is noted there
            cursor.execute(f"SELECT coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '') FROM \"{table}\" t")
            found[table] = hashlib.sha256(cursor.fetchone()[0].encode()).hexdigest()
        cursor.execute("SELECT sequencename, last_value FROM pg_sequences ORDER BY 1")
        found["sequences"] = str(cursor.fetchall())
    return found


def test_peer_22_a_plan_changes_nothing_and_speaks_to_nobody(olga: User, monkeypatch: pytest.MonkeyPatch, mailoutbox: list[Any]) -> None:
    shop(olga)
    api = Api(olga)
    draft = api.post("releases/", {"process": "shop", "inputs": {"version": "1.0", "key": "s3cret"}}).json()["id"]
    before = digests()

    def refuse(*_: Any) -> None:
        raise AssertionError("a plan opened a connection")

    monkeypatch.setattr(doorbell, "ring", refuse)
    with monkeypatch.context() as patched:
        patched.setattr(socket.socket, "connect", refuse)
        for path in ("processes/shop/plan/", f"releases/{draft}/plan/", "processes/shop/plan/?inputs.version=2", 'processes/shop/plan/?inputs={"version":"3"}'):
            answer = api.get(path)
            assert answer.status_code == 200, answer.content
            assert "s3cret" not in answer.content.decode()
    assert digests() == before
    assert mailoutbox == []


def test_the_shape_of_a_plan(olga: User) -> None:
    shop(olga)
    plan = Api(olga).get('processes/shop/plan/?inputs={"version":"1.0","region":"us"}').json()
    assert plan["waves"] == [["compile"], ["tests"], ["qa"], ["deploy"], ["roll"]]
    steps = {step["id"]: step for step in plan["activities"]}
    assert steps["qa"]["asks"] == ["group:qa", "user:olga@example.com"]
    assert steps["qa"]["people"] == ["quentin@example.com", "olga@example.com"]
    assert steps["roll"]["asks"] == ["group:qa"], "in the subprocess"
    assert (steps["qa"]["after"], steps["roll"]["after"], steps["deploy"]["after"]) == (["tests"], ["deploy"], ["qa"])
    assert (steps["eu_only"]["skipped_because"], steps["back"]["skipped_because"]) == ("condition", "not_needed")
    assert "skipped_because" not in steps["deploy"]
    assert plan["undecided"] == ["deploy"], "it reads a result"
    assert (steps["compile"]["expected"], steps["qa"]["expected"]) == ({"p50": 300, "p80": 300, "runs": 0}, None)
    assert plan["critical_path"][:2] == ["compile", "tests"]
    assert plan["inputs"] == {"version": "1.0", "region": "us"}
    assert plan["problems"] == []
    nothing = Api(olga).get("processes/shop/plan/").json()
    assert [problem["place"] for problem in nothing["problems"]] == ["/inputs/version"]
    assert "skipped_because" not in {step["id"]: step for step in nothing["activities"]}["eu_only"]


def test_who_may_not_see_it_finds_nothing(olga: User) -> None:
    shop(olga)
    draft = Api(olga).post("releases/", {"process": "shop"}).json()["id"]
    sam = Api(factories.person("sam"))
    assert [sam.get(path).status_code for path in ("processes/shop/plan/", f"releases/{draft}/plan/")] == [404, 404]
    assert Api(olga).get("processes/shop/plan/?inputs=7").status_code == 422
    assert Api(olga).get("processes/shop/plan/?version=99").status_code == 404


def test_history_is_the_median_and_wins_over_the_author(olga: User) -> None:
    process = factories.process("quick", actor=olga, owners=["user:olga@example.com"], phases=[phase("work", noop("a", expected="1h"), noop("b", "a"))])
    factories.version(process, actor=olga)
    for seconds in (10, 20, 30, 40, 50):
        release = started(process, olga)
        run_on(release)
        assert fresh(release).state == "succeeded"
        run = ActivityRun.objects.get(release=release, key="a")
        ActivityRun.objects.filter(pk=run.pk).update(started_at=run.finished_at - timedelta(seconds=seconds))
    estimates.forget()
    steps = {step["id"]: step for step in Api(olga).get("processes/quick/plan/").json()["activities"]}
    assert steps["a"]["expected"] == {"p50": 30.0, "p80": 42.0, "runs": 5}
    assert steps["b"]["expected"]["runs"] == 5


def test_a_forecast_of_a_running_release(olga: User) -> None:
    phases = [phase("work", noop("a", expected="1m"), script("b", "a", expected="3m"), manual("c", "b", of=("user:olga@example.com",), approval={"due": "1h"}))]
    process = factories.process("slow", actor=olga, owners=["user:olga@example.com"], phases=phases)
    factories.version(process, actor=olga)
    release = started(process, olga)
    run_on(release)
    body = Api(olga).get(f"releases/{release.pk}/").json()["forecast"]
    assert body["critical_path"] == ["b", "c"]
    assert body["unestimated"] == ["c"]
    assert 0.1 < body["done"] < 0.2, "one minute of the three and of one that is unknown"
    assert body["expected_end"]["earliest"] <= body["expected_end"]["likely"] <= body["expected_end"]["latest"]
    assert body["late"] == []
    Attempt.objects.filter(run__release=release, run__key="b").update(state="running", lease_until="2030-01-01T00:00Z", fence=1)
    ActivityRun.objects.filter(release=release, key="b").update(state="running", started_at=fresh(release).started_at - timedelta(hours=1))
    (late,) = Api(olga).get(f"releases/{release.pk}/").json()["forecast"]["late"]
    assert late["activity"] == "b"
    assert "takes longer than usual: 1 h" in late["text"]


def test_a_process_that_is_called_many_times_is_looked_at_once(olga: User) -> None:
    inner = factories.process("inner", actor=olga, owners=["user:olga@example.com"], phases=[phase("work", noop("one"))])
    factories.version(inner, actor=olga)
    counted = []
    for number in (2, 12):
        calls = [sub(f"call_{n}", "inner") for n in range(number)]
        made = factories.process(f"outer_{number}", actor=olga, owners=["user:olga@example.com"], phases=[phase("work", *calls)])
        factories.version(made, actor=olga)
        plans.of_process(made, {})
        with CaptureQueriesContext(connection) as found:
            assert len(plans.of_process(made, {}).running) == number
        counted.append(len(found))
    assert counted[0] == counted[1]
