"""People's verbs in any order against a small model: what is refused, what every run and the release then are, and the invariants."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from releases import doorbell, operating
from relorch.lib.errors import Conflict
from tests.releases import invariants
from tests.releases.driving import run_on
from tests.releases.scenes import ACTOR, bad, fresh, manual, noop, running, states

CLOSED = {"succeeded", "skipped", "ignored", "failed", "aborted"}
ON_A = ("retry", "ignore", "fail", "succeed", "skip")


class Model:
    """`a` fails and is held for a person, `b` follows it, `c` waits for a person."""

    def __init__(self) -> None:
        self.release = "running"
        self.runs = {"a": "on_hold", "b": "pending", "c": "waiting"}
        self.skipped_by_hand = False

    def does(self, verb: str, key: str) -> bool:
        """Whether the verb fits, and if so its effect."""
        is_live = self.release in ("running", "held")
        if not key:
            if verb == "hold" and self.release == "running":
                self.release = "held"
            elif verb == "resume" and self.release == "held":
                self.release = "running"
            elif verb == "abort" and is_live:
                self.release = "aborted"
                self.runs = {other: state if state in CLOSED else "aborted" for other, state in self.runs.items()}
            else:
                return False
            return True
        state = self.runs[key]
        if verb == "retry":
            if state not in ("on_hold", "failed") or not (is_live or self.release in ("failed", "partially_succeeded")):
                return False
            self.release = self.release if is_live else "running"
            self.runs[key] = "queued"
            if key == "a" and state == "failed" and self.runs["b"] == "skipped" and not self.skipped_by_hand:
                self.runs["b"] = "pending"
            return True
        fits, after = {
            "ignore": ({"on_hold"}, "ignored"),
            "fail": ({"on_hold"}, "failed"),
            "succeed": ({"on_hold", "waiting"}, "succeeded"),
            "skip": ({"pending", "queued", "waiting"}, "skipped"),
        }[verb]
        if state not in fits or not is_live:
            return False
        self.runs[key] = after
        self.skipped_by_hand |= (verb, key) == ("skip", "b")
        return True

    def comes_to_rest(self) -> None:
        """What machines then do."""
        if self.release == "running" and self.runs["a"] == "queued":
            self.runs["a"] = "on_hold"
        if self.runs["b"] == "pending" and self.runs["a"] == "failed":
            self.runs["b"] = "skipped"
        if self.runs["b"] == "pending" and self.runs["a"] in CLOSED and self.release == "running":
            self.runs["b"] = "succeeded"
        if self.release == "running" and set(self.runs.values()) <= CLOSED:
            self.release = "failed" if self.runs["a"] == "failed" else "partially_succeeded" if self.runs["a"] == "ignored" else "succeeded"


class Verbs(RuleBasedStateMachine):
    """The engine beside the model."""

    @initialize()
    def begin(self) -> None:
        """A fresh release."""
        self.model = Model()
        self.real = running(bad("a"), noop("b", "a"), manual("c"))

    @rule(verb=st.sampled_from(["hold", "resume", "resume", "abort"]))
    def on_the_release(self, verb: str) -> None:
        """A verb on it, aborts being the rarest."""
        self.both(verb, "")

    @rule(verb=st.sampled_from(ON_A), key=st.sampled_from(["a", "a", "a", "b", "c"]))
    def on_a_run(self, verb: str, key: str) -> None:
        """A verb on an activity."""
        self.both(verb, key)

    def both(self, verb: str, key: str) -> None:
        fits = self.model.does(verb, key)
        given: dict[str, Any] = {"release": self.real.pk, "actor": ACTOR, "reason": "because", **({"activity": key} if key else {})}
        do = getattr(operating, verb)
        if not fits:
            with pytest.raises(Conflict):
                do(**given, preview=True)
            return
        told = do(**given, preview=True)
        assert do(**given) == told
        run_on(self.real)
        self.model.comes_to_rest()

    @invariant()
    def they_agree(self) -> None:
        """States, result, and what must always hold."""
        assert states(self.real) == self.model.runs
        assert fresh(self.real).state == self.model.release
        assert invariants.broken() == {}


@pytest.mark.django_db
def test_verbs_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbell, "ring", lambda *_: None)
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(Verbs, settings=settings(max_examples=15, stateful_step_count=12, deadline=None, suppress_health_check=checks, derandomize=True))
