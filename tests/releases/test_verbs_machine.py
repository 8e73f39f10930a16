"""S-01: what machines and people can do, in any order, against a small model without a database: what is refused, what everything then is, and the invariants.

`RELORCH_MACHINE` says how many walks of how many steps (`12x15` unless set; `make chaos` sets `5000x40`). From 500 walks on, every legal pair of state and
event must have been seen, and 95 % of the illegal ones tried and refused.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from approvals import signing
from releases import doorbell, evaluating, operating, sweep
from releases.attempts import exchange, give_up_lost
from releases.engine import Actor, Claim, End
from releases.models import ActivityRun, Attempt
from releases.states import Run
from relorch.lib.errors import Conflict
from tests import factories
from tests.releases import invariants
from tests.releases.driving import published
from tests.releases.scenes import ACTOR, blueprint, child_of, fresh, later, manual, running, script, states, sub

EXAMPLES, STEPS = (int(number) for number in os.environ.get("RELORCH_MACHINE", "12x15").split("x"))
GOOD, BAD = {"succeeded", "skipped", "ignored"}, {"failed", "rejected", "expired"}
CLOSED = GOOD | BAD | {"aborted"}
LIVE, REOPENABLE = {"running", "held"}, {"failed", "partially_succeeded"}
BEFORE: dict[str, list[str]] = {"once": [], "keyed": [], "after": ["once", "keyed"], "ask": [], "child": ["ask"]}
SCRIPTS = ("once", "keyed", "after")
FITS = {
    "finish": {"running"}, "break": {"running"}, "crash": {"running"}, "stop": {"running"}, "approve": {"waiting"}, "reject": {"waiting"},
    "expire": {"waiting"}, "skip": {"pending", "queued", "waiting"}, "retry": {"on_hold", "interrupted", *BAD}, "ignore": {"on_hold", "interrupted"},
    "fail": {"on_hold", "interrupted"}, "succeed": {"on_hold", "waiting", "interrupted"},
}  # fmt: skip
EVENTS = {key: [e for e in FITS if e not in ("approve", "reject", "expire")] for key in SCRIPTS} | {
    "ask": ["approve", "reject", "expire", "skip", "retry", "ignore", "fail", "succeed", "stop"],
    "child": ["approve", "reject", "skip", "retry", "ignore", "fail", "succeed", "stop"],
}
PAIRS = {
    (kind, state, event)
    for kind, key, own in (
        ("script", "once", "pending queued running succeeded skipped ignored failed aborted on_hold interrupted"),
        ("ask", "ask", "queued waiting succeeded skipped ignored rejected expired aborted on_hold"),
        ("child", "child", "pending queued waiting succeeded skipped ignored failed aborted on_hold"),
    )
    for state in own.split()
    for event in EVENTS[key]
}
seen: dict[tuple[str, str, str], set[bool]] = {}


def kind_of(key: str) -> str:
    return "script" if key in SCRIPTS else key


class Model:
    """The whole of it: two scripts and one after both, a question and a subprocess after it that asks another."""

    def __init__(self) -> None:
        self.release = "running"
        self.runs = {"once": "queued", "keyed": "queued", "after": "pending", "ask": "waiting", "child": "pending"}
        self.met: dict[str, set[str]] = {key: set() for key in BEFORE}
        self.lost = 0
        self.answer = ""  # what the child comes to once it is resumed: it was answered while held (S12a)

    def does(self, event: str, key: str) -> bool:
        """Whether the event fits, and if so its effect."""
        if not key:
            return self._does_to_release(event)
        state = self.runs[key]
        if state not in FITS[event] or not (self.release in LIVE or (event == "retry" and self.release in REOPENABLE)):
            return False
        if event == "expire" and self.release != "running":
            return False
        if key == "child" and event in ("approve", "reject") and self.answer:
            return False
        after = {
            "finish": "succeeded", "break": "on_hold", "stop": "on_hold", "approve": "succeeded", "expire": "expired", "skip": "skipped", "retry": "queued",
            "ignore": "ignored", "fail": "failed", "succeed": "succeeded", "reject": "on_hold" if key == "child" else "rejected",
        }  # fmt: skip
        if event == "crash":
            again = key != "once" and self.lost < 5
            self.runs[key], self.lost = ("queued", self.lost + 1) if again else ("interrupted", self.lost)
        elif key == "child" and event in ("approve", "reject") and self.release == "held":
            self.answer = after[event]
        else:
            self.runs[key] = after[event]
            self.answer = "" if key == "child" else self.answer
        if event == "retry":
            self.release = self.release if self.release in LIVE else "running"
            for other, met in self.met.items():
                if key in met:
                    self.runs[other], self.met[other] = "pending", set()
        return True

    def _does_to_release(self, event: str) -> bool:
        moves = {("hold", "running"): "held", ("resume", "held"): "running", ("abort", "running"): "aborted", ("abort", "held"): "aborted"}
        if event == "claim":
            claimed = [key for key in SCRIPTS if self.release == "running" and self.runs[key] == "queued"]
            self.runs |= dict.fromkeys(claimed, "running")
            return bool(claimed)
        if (event, self.release) not in moves:
            return False
        self.release = moves[event, self.release]
        if event == "abort":
            self.runs = {key: state if state in CLOSED else "aborted" for key, state in self.runs.items()}
        return True

    def comes_to_rest(self) -> None:
        """What the engine then does by itself."""
        if self.release not in LIVE:
            return
        if self.release == "running" and self.answer:
            self.runs["child"], self.answer = self.answer, ""
        for key, before in BEFORE.items():
            if self.runs[key] == "pending" and all(self.runs[other] in CLOSED for other in before):
                met = {other for other in before if self.runs[other] in BAD} | {cause for other in before for cause in self.met[other]}
                if met:
                    self.runs[key], self.met[key] = "skipped", met
                elif self.release == "running":
                    self.runs[key] = "queued"
            if self.runs[key] == "queued" and key in ("ask", "child") and self.release == "running":
                self.runs[key] = "waiting"
        if self.release == "running" and set(self.runs.values()) <= CLOSED:
            states = set(self.runs.values())
            self.release = "failed" if states & BAD else "partially_succeeded" if "ignored" in states else "succeeded"


class Machine(RuleBasedStateMachine):
    """The engine beside the model."""

    @initialize()
    def begin(self) -> None:
        """A fresh release. What the walk before wrote is undone: in one transaction for all, each is slower than the one before.

        (Worse: when autovacuum analyses a table of which no row is committed it finds pages without rows, and from then on every plan is for none.)
        """
        self.before = transaction.savepoint()
        self.ann = factories.person()
        of = (f"user:{self.ann.email}",)
        below = blueprint(manual("ask", of=of, approval={"on_reject": "fail"}))
        published(below)
        ask = manual("ask", of=of, approval={"on_reject": "fail", "on_expiry": "reject", "due": "1h"})
        steps = [script("once"), script("keyed", effect="keyed"), script("after", "once", "keyed", effect="keyed"), ask, sub("child", below.id, "ask")]
        self.model, self.real, self.claims = Model(), running(*steps), dict[str, Claim]()
        self.lost_claims: dict[str, list[Claim]] = {}

    @rule(event=st.sampled_from(["claim", "claim", "claim", "hold", "resume", "resume", "abort"]), rarely=st.integers(0, 3))
    def on_the_release(self, event: str, rarely: int) -> None:
        """A verb on it, aborts being rare, or a worker that takes what there is."""
        if event != "abort" or rarely == 0:
            self.both(event, "")

    @rule(data=st.data(), key=st.sampled_from(list(BEFORE)))
    def on_a_run(self, data: st.DataObject, key: str) -> None:
        """Something happens to an activity; what fits half of the time."""
        fitting = [event for event in EVENTS[key] if self.model.runs[key] in FITS[event]]
        events = fitting if fitting and data.draw(st.booleans()) else EVENTS[key]
        self.both(data.draw(st.sampled_from(events)), key)

    @rule(key=st.sampled_from(SCRIPTS), state=st.sampled_from([Run.SUCCEEDED, Run.FAILED]))
    def a_zombie_answers(self, key: str, state: Run) -> None:
        """Whoever lost the attempt to another answers after all: refused, whatever has become of it."""
        for claim in self.lost_claims.get(key, ()):
            assert exchange("test:1", "slow", 0, [End(claim.attempt, claim.run, state, claim.fence, number=claim.number)], search=False).late

    def both(self, event: str, key: str) -> None:
        """The event in the model and in the engine."""
        pair = (kind_of(key), self.model.runs[key], event) if key else None
        if key and event in ("finish", "break", "crash") and key not in self.claims:
            return  # nobody has ever worked on it: there is nothing to say
        fits = self.model.does(event, key)
        did = self.event(event, key)
        assert did == fits, f"{event} {key}: the engine says {did}, the model {fits}"
        if pair:
            seen.setdefault(pair, set()).add(fits)
        evaluating.settle(self.real.pk)
        self.model.comes_to_rest()

    def event(self, event: str, key: str) -> bool:
        """It, in the engine; whether it was taken."""
        if event == "claim":
            got = exchange("test:1", "slow", 100).claims
            self.claims |= {claim.run.key: claim for claim in got}
            return bool(got)
        if event in ("finish", "break"):
            claim = self.claims[key]
            state = Run.SUCCEEDED if event == "finish" else Run.FAILED
            return not exchange("test:1", "slow", 0, [End(claim.attempt, claim.run, state, claim.fence, number=claim.number)], search=False).late
        if event == "crash":
            if self.model.runs[key] != "running":
                self.lost_claims.setdefault(key, []).append(self.claims[key])
            moved = Attempt.objects.filter(pk=self.claims[key].attempt, state="running").update(lease_until="2026-01-01T00:00:00Z")
            give_up_lost(self.real.pk)
            return bool(moved)
        if event == "expire":
            before = states(self.real)["ask"]
            later(self.real, 0)
            attempt = Attempt.objects.filter(run__release=self.real, run__key="ask").order_by("-number").first()
            if attempt is None:
                return False
            Attempt.objects.filter(pk=attempt.pk, state="waiting").update(due_at="2026-01-01T00:00:00Z")
            sweep.come_due(attempt.pk)
            Attempt.objects.filter(pk=attempt.pk, state="waiting").update(due_at=None)
            return states(self.real)["ask"] != before
        return self.of_a_person(event, key)

    def of_a_person(self, event: str, key: str) -> bool:
        """A verb; what it refuses is a conflict, and a preview says the same."""
        given: dict[str, Any] = {"release": self.real.pk, "actor": ACTOR, "reason": "because", **({"activity": key} if key else {})}
        try:
            if event in ("approve", "reject"):
                if key == "child" and not ActivityRun.objects.filter(release=self.real, key=key, children__isnull=False).exists():
                    return False
                where = child_of(self.real, key) if key == "child" else self.real
                me = Actor(self.ann.pk, self.ann.email, "page")
                signing.sign_off(release=where.pk, activity="ask", person=self.ann, actor=me, decision=event, comment="so")
            else:
                told = getattr(operating, event)(**given, preview=True)
                assert getattr(operating, event)(**given) == told
        except (Conflict, LookupError):
            return False
        return True

    @invariant()
    def they_agree(self) -> None:
        """States and result."""
        if hasattr(self, "model"):
            assert states(self.real) == self.model.runs
            assert fresh(self.real).state == self.model.release

    def teardown(self) -> None:
        """What must always hold, at the end of each walk."""
        if hasattr(self, "model"):
            assert invariants.broken() == {}
            transaction.savepoint_rollback(self.before)


@pytest.mark.django_db
def test_engine_and_model_agree_whatever_happens(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doorbell, "ring", lambda *_: None)
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    many = settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, suppress_health_check=checks, derandomize=EXAMPLES < 100)
    run_state_machine_as_test(Machine, settings=many)
    legal = {pair for pair in PAIRS if pair[1] in FITS[pair[2]]}
    illegal = PAIRS - legal
    taken = {pair for pair, answers in seen.items() if True in answers}
    refused = {pair for pair, answers in seen.items() if False in answers}
    said = f"{len(legal & taken)} of {len(legal)} legal pairs taken, {len(illegal & refused)} of {len(illegal)} illegal ones refused"
    with capsys.disabled():
        print(f"\n{EXAMPLES} walks of {STEPS} steps: {said}")
    assert not illegal & taken
    if EXAMPLES >= 500:
        assert legal <= taken, sorted(legal - taken)
        assert len(illegal & refused) >= 0.95 * len(illegal), sorted(illegal - refused)
