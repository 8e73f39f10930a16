"""Which keys fit an activity's type, its connector, and times that contradict each other (S22, S23). Pure."""

from __future__ import annotations

from typing import Any

from processes.blueprint import Activity, ActivityType, Retry
from processes.constraints import spec_problems
from processes.durations import parse_duration
from processes.expressions import has_expression
from processes.problems import Problem, did_you_mean, pointer
from processes.soundness.checking import Check, Place, Step, is_set, kind_of

_KEYS = {
    ActivityType.AUTOMATED: {"connector", "connection", "effect", "arguments", "retry"},
    ActivityType.MANUAL: {"instructions", "fields", "tasks", "approval"},
    ActivityType.SUBPROCESS: {"process", "inputs", "retry"},
}
_OF_SOME_TYPE = frozenset().union(*_KEYS.values())


def check(c: Check) -> None:
    """Descriptions of values, and every activity by itself."""
    for name, spec in c.blueprint.inputs.items():
        c.found += spec_problems(spec, pointer("inputs", name))
    for index, phase in enumerate(c.blueprint.phases):
        _lock(c, phase.lock, phase.lock_while_waiting, ("phases", index))
    for step in c.steps:
        _type(c, step)
        _automated(c, step)
        _form(c, step)
        _times(c, step)
        _lock(c, step.activity.lock, step.activity.lock_while_waiting, step.place)
    _scripts(c)


def _type(c: Check, step: Step) -> None:
    kind, activity = kind_of(step), step.activity
    if kind is None:
        if activity.uses is None:
            names = ", ".join(ActivityType)
            c.say("missing_type", f'The activity "{activity.id}" has no type: {names}, or uses for one of the activity store.', step.place)
        return
    for name in Activity.model_fields:
        unfitting = name in _OF_SOME_TYPE - _KEYS[kind] and is_set(activity, name)
        if unfitting and not (name == "arguments" and activity.uses is not None):
            key = Activity.model_fields[name].alias or name
            types = " and ".join(f"{other}" for other, keys in _KEYS.items() if name in keys)
            hint = " An automated activity takes its values in `with`." if name == "inputs" and kind is ActivityType.AUTOMATED else ""
            c.say("key_does_not_fit", f'"{key}" is for {types} activities; "{activity.id}" is {kind}.{hint}', (*step.place, key))
    whole = step.whole or activity
    if kind is ActivityType.AUTOMATED and not whole.connector:
        c.say("missing_connector", f'The automated activity "{activity.id}" does not say its connector: what runs it.', step.place)
    if kind is ActivityType.SUBPROCESS and not whole.process:
        c.say("missing_process", f'"{activity.id}" does not say which process it runs.', step.place)


def _automated(c: Check, step: Step) -> None:
    activity = step.whole or step.activity
    if kind_of(step) is not ActivityType.AUTOMATED or not activity.connector:
        return
    run_place = (*step.place, "with", "run")
    if step.activity.connector == "script" and has_expression(step.activity.arguments.get("run")):
        message = "An expression inside a script would become part of its program. Hand the value over: use `env`, and the variable in the script."
        c.say("expression_in_script", message, run_place)
    if activity.connection is not None and c.world.connections is not None and activity.connection not in c.world.connections:
        message = f'There is no connection "{activity.connection}".{did_you_mean(activity.connection, c.world.connections)}'
        c.say("unknown_connection", message, (*step.place, "connection"))
    if c.world.connectors is None:
        return
    info = c.world.connectors.get(activity.connector)
    if info is None:
        message = (
            f'There is no connector "{activity.connector}"; there are {", ".join(c.world.connectors)}.{did_you_mean(activity.connector, c.world.connectors)}'
        )
        c.say("unknown_connector", message, (*step.place, "connector"))
        return
    if activity.effect is not None and info.effect not in {"either", activity.effect}:
        c.say("effect_does_not_fit", f"The connector {activity.connector} is always {info.effect}.", (*step.place, "effect"))
    if info.problems and step.activity.uses is None:
        for found in info.problems(activity.arguments):
            if not (found.code == "expression_in_script" and has_expression(activity.arguments.get("run"))):
                c.found.append(Problem(found.code, found.message, pointer(*step.place, "with") + found.place, found.severity))


def _scripts(c: Check) -> None:
    """One warning for all: they are switched on or off together."""
    if c.world.scripts_allowed is not False:
        return
    known = c.world.connectors or {}
    names = {"script"} | {name for name, info in known.items() if info.uses_scripts}
    steps = [step for step in c.steps if (step.whole or step.activity).connector in names]
    if steps:
        many = f"{len(steps)} activities run scripts" if len(steps) > 1 else f'"{steps[0].activity.id}" runs a script'
        message = f"{many}, and scripts are switched off on this installation; they will fail until an administrator sets RELORCH_ALLOW_SCRIPTS=1."
        c.say("scripts_disabled", message, (*steps[0].place, "connector" if steps[0].activity.connector else "uses"), warning=True)


def _form(c: Check, step: Step) -> None:
    for name, field in step.activity.fields.items():
        c.found += spec_problems(field, pointer(*step.place, "fields", name), form=True)
    seen: set[str] = set()
    for index, task in enumerate(step.activity.tasks):
        if task.id in seen:
            c.say("duplicate_id", f'The task "{task.id}" is there twice.', (*step.place, "tasks", index, "id"))
        seen.add(task.id)


def _seconds(written: Any) -> float:
    """What is no duration, or an expression, is somebody else's problem: no time at all."""
    try:
        return float(parse_duration(written))
    except (ValueError, TypeError):
        return 0.0


def _times(c: Check, step: Step) -> None:
    activity, place = step.whole or step.activity, step.place
    if activity.timeout == 0:
        c.say("zero_duration", "A time-out of zero lets nothing run.", (*place, "timeout"))
    elif activity.timeout is not None and activity.expected is not None and activity.expected > activity.timeout:
        c.say("times_contradict", "It is expected to take longer than its time-out allows.", (*place, "expected"), warning=True)
    waits = activity.arguments.get("for") if activity.connector == "timer" else None
    if activity.timeout and waits is not None and _seconds(waits) > activity.timeout:
        c.say("times_contradict", "It waits longer than its time-out allows, so that it always fails.", (*place, "timeout"), warning=True)
    retry = activity.retry
    if retry.attempts == 1 and retry != Retry():
        c.say("no_effect", "With one attempt in all nothing is repeated; say attempts: 2 or more.", (*place, "retry"), warning=True)
    elif retry.attempts > 1 and retry.delay > retry.max_delay:
        c.say("times_contradict", "The first delay is longer than max_delay.", (*place, "retry", "delay"), warning=True)
    if (approval := activity.approval) is None:
        return
    place = (*place, "approval")
    if approval.due == 0:
        c.say("zero_duration", "Nobody can answer in no time.", (*place, "due"))
    elif approval.due is None and approval.on_expiry != "hold":
        c.say("no_effect", "Without due nothing expires.", (*place, "on_expiry"), warning=True)
    if approval.due:
        _before(c, approval.due, [(("reminders", index), reminder) for index, reminder in enumerate(approval.reminders)], place)
        _before(c, approval.due, [(("escalate", "after"), approval.escalate.after)] if approval.escalate else [], place)


def _before(c: Check, due: int, times: list[tuple[Place, int]], place: Place) -> None:
    for inside, seconds in times:
        if seconds >= due:
            c.say("times_contradict", "By then the answer is due, and this is never sent.", (*place, *inside), warning=True)


def _lock(c: Check, lock: Any, while_waiting: str, place: Place) -> None:
    if lock is not None and not lock.strip():
        c.say("empty_lock", "A lock has a name.", (*place, "lock"))
    if lock is None and while_waiting != "keep":
        c.say("no_effect", "There is no lock to give up.", (*place, "lock_while_waiting"), warning=True)
