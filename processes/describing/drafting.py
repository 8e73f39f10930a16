"""An outline made a process: phases in order, activities of fitting types, owners, dependencies; what the text leaves open as questions. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from processes.describing import wording
from processes.describing.dividing import Phase, Step, divided, is_label, whole
from processes.describing.matching import closest
from processes.describing.outline import Section, outline
from processes.describing.people import Known, People
from processes.describing.summing import summary
from processes.durations import duration_text
from processes.problems import pointer

__all__ = ["Description", "Known", "Question", "describe"]


@dataclass(frozen=True, slots=True)
class Question:
    """What the text leaves open: `place` is a JSON Pointer into the document."""

    place: str
    text: str

    def as_dict(self) -> dict[str, str]:
        """The shape of the API."""
        return {"place": self.place, "text": self.text}


@dataclass(frozen=True, slots=True)
class Description:
    """A draft as a document (canonical keys, not yet read), what is left open, and the draft in a sentence or two."""

    document: dict[str, Any]
    questions: list[Question]
    summary: str


def describe(text: str, known: Known | None = None) -> Description:
    """The process that this procedure describes. Never raises: what cannot be made out becomes description or a question.

    Headings with steps become phases in order, top-level steps activities, nested ones their checklist; prose without steps becomes description.
    """
    return _Draft(outline(text), known or Known()).made()


class _Draft:
    def __init__(self, sections: Sequence[Section], known: Known) -> None:
        self.known = known
        self.people = People(known)
        self.questions: list[Question] = []
        self.taken: set[str] = set()
        self.needs_version = False
        self.title, self.description, self.owners, self.phases = divided(sections)
        self.steps: dict[str, str] = {}
        self.numbered: dict[int, str] = {}
        self.follows: dict[int, list[str]] = {}

    def made(self) -> Description:
        """All of it."""
        document: dict[str, Any] = {"apiVersion": "relorch/v1", "kind": "Process"}
        name = wording.title_of(self.title) if self.title else "New process"
        document["id"] = wording.id_of(name, self.known.taken, "process")
        document["name"] = name
        if self.description:
            document["description"] = _literal("\n\n".join(self.description))
        owners = self.people.owners(self.owners)
        if owners:
            document["owners"] = owners
        self._name_phases()
        phases = [self._phase(index, phase) for index, phase in enumerate(self.phases)]
        if self.needs_version:
            document["inputs"] = {"version": {"type": "string", "required": True, "description": "What is released."}}
        document["phases"] = phases
        self._ask_about_owners(document)
        if not phases:
            self._ask("", "No steps were found: write them as a numbered, bulleted or check-box list, one line a step.")
        for place, message in self.people.unknown(document):
            self._ask(place, message)
        return Description(document, self.questions, summary(document))

    def _ask(self, place: str, text: str) -> None:
        self.questions.append(Question(place, text))

    def _name_phases(self) -> None:
        ids: list[str] = []
        names: set[str] = set()
        for index, phase in enumerate(self.phases):
            name = wording.name_of(phase.title) if phase.title else "Release"
            number = 2
            while (unique := name if number == 2 and name not in names else f"{name} ({number})") in names:
                number += 1
            names.add(unique)
            phase.name = unique
            phase.id = wording.id_of(unique, ids, "phase")
            ids.append(phase.id)
            for place, step in enumerate(phase.steps):
                step.id = wording.id_of(step.name, self.taken, "step")
                self.taken.add(step.id)
                step.place = pointer("phases", index, "activities", place)

    def _phase(self, index: int, phase: Phase) -> dict[str, Any]:
        place = pointer("phases", index)
        found: dict[str, Any] = {"id": phase.id, "name": phase.name}
        if phase.prose:
            found["description"] = _literal("\n\n".join(phase.prose))
        owners = self.people.owners([name for text in (phase.title, phase.notes) for name in wording.owners_in(text)])
        if owners:
            found["owners"] = owners
        depends_on = self.follows[index] = self._phase_follows(index, phase, place)
        if depends_on:
            found["depends_on"] = depends_on
        if index and wording.is_rollback(phase.title):
            found["run_when"] = "failed"
            found["depends_on"] = [earlier.id for earlier in self.phases[:index]]
        self._order(phase)
        found["activities"] = [self._activity(step) for step in phase.steps]
        shared = found["activities"][0].get("owners")
        if shared and not owners and all(activity.get("owners") == shared for activity in found["activities"]):
            for activity in found["activities"]:
                del activity["owners"]
            found = {key: found.pop(key) for key in ("id", "name", "description") if key in found} | {"owners": shared} | found
        return found

    def _phase_follows(self, index: int, phase: Phase, place: str) -> list[str]:
        earlier = self.phases[:index]
        said = f"{phase.title}\n{phase.notes}"
        named, unknown = self._named(said, {other.id: other.name for other in earlier}, {number: other.id for number, other in enumerate(earlier, 1)})
        for text in unknown:
            self._ask(f"{place}/depends_on", f"“{phase.name}” comes after “{text}”, which no earlier phase is called: which one is meant?")
        if named:
            return named
        beside, other = wording.parallel_in(phase.title)
        if beside and earlier and (other or not phase.steps or len(phase.steps) == 1):
            match = closest(other, {item.id: item.name for item in earlier}) if other else earlier[-1].id
            if match:
                return list(self._before(match))
        normal = [item for item in earlier if not wording.is_rollback(item.title)]
        if not normal:
            return []
        # what stands beside the last phase waits for the same, so that whoever comes next waits for all of them
        group = [normal[-1].id]
        for item in reversed(normal[:-1]):
            if wording.parallel_in(normal[len(normal) - len(group)].title)[0]:
                group.insert(0, item.id)
            else:
                break
        return group

    def _before(self, phase_id: str) -> list[str]:
        return self.follows[next(number for number, item in enumerate(self.phases) if item.id == phase_id)]

    def _order(self, phase: Phase) -> None:
        """One step after the other, but for those said to run together or after something named."""
        all_beside = wording.parallel_in(phase.title)[0] and not wording.parallel_in(phase.title)[1] and len(phase.steps) > 1
        before: list[str] = []
        group: list[str] = []
        for number, step in enumerate(phase.steps, 1):
            beside = bool(group) and (all_beside or step.entry.in_parallel or (wording.parallel_in(step.text)[0] and number > 1))
            if not beside:
                before, group = group, []
            named, unknown = self._named(step.text, self.steps, self.numbered)
            for text in unknown:
                self._ask(f"{step.place}/depends_on", f"“{step.name}” comes after “{text}”, which no earlier step is called: which one is meant?")
            step.depends_on = named or list(before)
            group.append(step.id)
            self.steps[step.id] = step.name
            self.numbered[step.entry.number or number] = step.id

    def _named(self, text: str, ids: Mapping[str, str], numbers: Mapping[int, str]) -> tuple[list[str], list[str]]:
        """The ids of what a text says it comes after, and what it names outright that is not there."""
        found: list[str] = []
        missing: list[str] = []
        for said, outright in wording.after_in(text):
            hits = (
                [numbers[int(digit)] for digit in re.findall(r"\b\d{1,9}\b", said) if int(digit) in numbers]
                if re.match(r"(?:step|phase|stage|item)", said, re.IGNORECASE)
                else []
            )
            if not hits:
                parts = wording.names_in(said)
                hits = [hit for part in parts if (hit := closest(part, ids))]
            if hits:
                found += [hit for hit in hits if hit not in found]
            elif outright and ids:
                missing.append(said)
        return found, missing

    def _activity(self, step: Step) -> dict[str, Any]:
        text, place = step.text, step.place
        found: dict[str, Any] = {"id": step.id, "name": step.name}
        owners = self.people.owners(wording.owners_in(text))
        if owners:
            found["owners"] = owners
        if step.depends_on:
            found["depends_on"] = step.depends_on
        if wording.is_optional(step.entry.text):
            found["optional"] = True
        if expected := wording.expected_in(text):
            found["expected"] = duration_text(expected)
        if wording.is_conditional(step.entry.text):
            self._ask(f"{place}/if", f"“{step.name}” is done in some cases only: say when, as a condition over the inputs.")
        script = wording.commands_in(step.entry.text, step.entry.code)
        self.needs_version |= wording.names_version(step.entry.text, script)
        wait = wording.wait_in(step.entry.text)
        process = self._subprocess(step.entry.text)
        if wording.asks_approval(step.entry.text) or wording.approvers_in(text):
            return found | self._approval(step)
        if wait and not step.entry.entries:
            return found | {"type": "automated", "connector": "timer", "with": {"for": duration_text(wait)}}
        if process:
            return found | {"type": "subprocess", "process": process}
        by_hand = wording.is_manual(step.entry.text) or bool(step.entry.entries)
        if script and not by_hand and "${{" not in script:
            return found | self._script(step, script)
        if not by_hand and (wording.is_automated(step.entry.text) or wording.machine_work(step.entry.text)):
            self._ask(f"{place}/connector", f"What runs “{step.name}”: a script, an HTTP call, a pipeline? Until you say, it does nothing.")
            return found | _described(step) | {"type": "automated", "connector": "noop"}
        return found | {"type": "manual"} | _instructed(step) | self._tasks(step)

    def _subprocess(self, text: str) -> str:
        said = re.search(
            r"\b(?:run|start|execute|follow)\s+(?:the\s+)?[“\"']?(.{3,60}?)[”\"']?\s+(?:process|procedure|runbook)\b", wording.plain(text), re.IGNORECASE
        )
        return closest(said[1], dict(self.known.processes)) if said else ""

    def _script(self, step: Step, script: str) -> dict[str, Any]:
        env = {name: "${{ inputs.version }}" for name in wording.unset_variables(script) if name in wording.VERSION_VARIABLES}
        open_names = [name for name in wording.unset_variables(script) if name not in env]
        if open_names:
            self._ask(f"{step.place}/with/env", f"The commands of “{step.name}” read {', '.join(open_names)}: hand them over with env.")
        if places := wording.placeholders_in(script):
            shown = ", ".join(f"<{word}>" for word in places)
            self._ask(f"{step.place}/with/run", f"The commands of “{step.name}” hold {shown}: make it an input and hand it over with env.")
        arguments: dict[str, Any] = {"run": script.rstrip() + "\n"}
        if env:
            arguments["env"] = env
        return _described(step) | {"type": "automated", "connector": "script", "with": arguments}

    def _approval(self, step: Step) -> dict[str, Any]:
        names = wording.approvers_in(step.text)
        who = self.people.owners(names)
        approval: dict[str, Any] = {}
        count = wording.count_in(step.text)
        if who:
            approval["requires"] = [{"count": count, "of": [one]} if count > 1 else {"of": [one]} for one in who]
        elif count > 1:
            approval["requires"] = [{"count": count}]
        if due := wording.due_in(step.text):
            approval["due"] = duration_text(due)
        if not names and not wording.owners_in(step.text):
            self._ask(f"{step.place}/approval", f"Who decides “{step.name}”? Until you say, one of its owners.")
        return {"type": "manual"} | _instructed(step) | self._tasks(step) | ({"approval": approval} if approval else {})

    def _tasks(self, step: Step) -> dict[str, Any]:
        tasks: list[dict[str, Any]] = []
        for entry in step.entry.entries:
            if is_label(entry):
                continue
            text = whole(entry)
            name = wording.name_of(entry.text) or "Task"
            task: dict[str, Any] = {"id": wording.id_of(name, [item["id"] for item in tasks], "task"), "name": name}
            if wording.plain(text).rstrip(" .:") != name:
                task["description"] = _literal(text)
            task["required"] = not wording.is_optional(entry.text)
            if owners := self.people.owners(wording.owners_in(entry.text)):
                task["owners"] = owners
            if expected := wording.expected_in(entry.text):
                task["expected"] = duration_text(expected)
            tasks.append({key: value for key, value in task.items() if value is not False})
        return {"tasks": tasks} if tasks else {}

    def _ask_about_owners(self, document: Mapping[str, Any]) -> None:
        if document.get("owners"):
            return
        named = [owner for phase in document["phases"] for part in (phase, *phase["activities"]) for owner in part.get("owners", ())]
        if document["phases"] and not named:
            self._ask("/owners", "Who owns this process? The text names nobody.")
            return
        for index, phase in enumerate(document["phases"]):
            if not phase.get("owners") and not all(activity.get("owners") for activity in phase["activities"]):
                self._ask(pointer("phases", index, "owners"), f"Who owns “{phase['name']}”? The text does not say.")


def _described(step: Step) -> dict[str, Any]:
    said = "\n\n".join(step.entry.paragraphs)
    return {"description": _literal(said)} if wording.plain(said).rstrip(" .:") != step.name else {}


def _instructed(step: Step) -> dict[str, Any]:
    said = step.entry.text
    return {"instructions": _literal(said) + "\n"} if wording.plain(said).rstrip(" .:") != step.name else {}


def _literal(text: str) -> str:
    """Text in which nothing is an expression."""
    return re.sub(r"(?<!\$)\$\{\{", "$${{", text).strip()
