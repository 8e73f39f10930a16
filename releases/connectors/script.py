"""Runs a script on this machine (S23): a file in its own process group, with an environment that is named in full."""

from __future__ import annotations

import os
import re
import stat
import sys
from pathlib import Path
from typing import Any

from django.conf import settings

from processes.durations import duration_text
from processes.problems import Problem, Severity, pointer
from releases.connectors import runner
from releases.connectors.base import Call, Done, Effect, Lane, Later
from releases.connectors.checking import refused, storable, templated, text_of, unknown_keys
from releases.connectors.output import OUTPUTS_BYTES, BadOutput, Log, parse_outputs

USUAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LARGEST_VALUE = 128 * 1024 - 1
"""What Linux takes for one `name=value` with its end, less that end."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REFUSED = re.compile(
    # These do not hand over a value: they change what the interpreter loads or runs before the script's first line.
    r"PATH|CDPATH|IFS|ENV|BASH_ENV|BASHOPTS|SHELLOPTS|PS4|PROMPT_COMMAND|BASH_FUNC_.*|ZDOTDIR|(LD|DYLD|PYTHON|RELORCH|MALLOC|GLIBC|PERL5?|RUBY|NODE)_.*"
    r"|PYTHON.*|PERL5?(LIB|OPT|DB)|RUBY(LIB|OPT)|_?JAVA_(TOOL_)?OPTIONS|JDK_JAVA_OPTIONS|GCONV_PATH|LOCPATH|NLSPATH|HOSTALIASES|TERMINFO.*",
    re.IGNORECASE,
)


def refused_name(name: object) -> str:
    """Why a script's variable may not have this name; nothing if it may."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > 255:
        return "is not the name of a variable; letters, digits and _ make one"
    if _REFUSED.fullmatch(name):
        return "cannot be given: it changes how programs are found or started; set it inside the script"
    return ""


class Script:
    """The connector `script`."""

    name = "script"
    title = "Script"
    effects = frozenset({Effect.ONCE, Effect.KEYED})
    default_effect = Effect.ONCE
    lane: Lane = "slow"
    uses_scripts = True

    def schema(self) -> dict[str, Any]:
        """JSON Schema of `with`."""
        return {
            "type": "object",
            "additionalProperties": False,
            "required": ["run"],
            "properties": {
                "run": {
                    "type": "string",
                    "title": "Script",
                    "description": "Run by /bin/sh -e, or by what its first line (#!) names. Takes no expressions: hand values over in env. "
                    "Write outputs as name=value lines to $RELORCH_OUTPUT; $RELORCH_WORKSPACE is shared by the whole release.",
                    "contentMediaType": "text/x-shellscript",
                    "minLength": 1,
                },
                "env": {
                    "type": "object",
                    "title": "Environment",
                    "description": "Variables of the script, beside PATH, HOME, LANG and RELORCH_*.",
                    "propertyNames": {"pattern": f"^{_NAME.pattern}$"},
                    "additionalProperties": {"type": ["string", "number", "boolean"]},
                    "default": {},
                },
            },
        }

    def problems(self, arguments: dict[str, Any]) -> list[Problem]:
        """What is wrong with `with`, as far as it holds no expressions; `run` may hold none at all."""
        found = unknown_keys(arguments, ("run", "env"))
        run = arguments.get("run")
        if run is None:
            found.append(Problem("missing_key", "run is missing: the text of the script.", pointer("run")))
        elif not isinstance(run, str):
            found.append(Problem("wrong_type", "run is the text of the script.", pointer("run")))
        elif templated(run):
            message = "An expression inside a script would become part of its program. Hand the value over: use `env`, and the variable in the script."
            found.append(Problem("expression_in_script", message, pointer("run")))
        else:
            found += _run_problems(run)
        return found + _env_problems(arguments.get("env", {}))

    def start(self, arguments: dict[str, Any], call: Call) -> Done | Later:
        """Runs it to its end."""
        if not settings.RELORCH_ALLOW_SCRIPTS:
            message = "Scripts are switched off on this installation; an administrator allows them with RELORCH_ALLOW_SCRIPTS=1."
            return Done(succeeded=False, message=message, code="scripts_disabled")
        if found := [problem for problem in self.problems(arguments) if problem.severity is Severity.ERROR and problem.code != "expression_in_script"]:
            return refused(found)
        try:
            call.workspace.mkdir(mode=0o700, parents=True, exist_ok=True)
            work = runner.fresh_folder(settings.RELORCH_HOME / "work", f"{call.release}-{call.activity}-{call.attempt}")
        except OSError as problem:
            return Done(succeeded=False, message=f"the script cannot be started: its folder cannot be made ({problem.strerror})", code="cannot_start")
        kept = False
        try:
            end, survivors = self._run(arguments, call, work)
            kept = bool(survivors)  # who detached himself may still stand in this folder
            return end
        finally:
            if not kept:
                runner.discard(work)

    def _run(self, arguments: dict[str, Any], call: Call, work: Path) -> tuple[Done, int]:
        output = work / "output"
        output.touch(mode=0o600)
        folder = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
        try:
            log = Log(call.log, call.secrets)
            program = runner.Program(arguments["run"], _environment(arguments, call, work, output), work, call.workspace.absolute(), settings.RELORCH_HOME)
            try:
                ended = runner.run(program, output=log.write, seconds=call.timeout, stopping=call.stopping, sandbox=settings.RELORCH_SANDBOX)
            except runner.SandboxMissing as problem:
                return Done(succeeded=False, message=f"the script cannot be started: {problem}", code="sandbox_missing"), 0
            log.end()
            return _judged(ended, log, call, folder), ended.survivors
        finally:
            os.close(folder)

    def poll(self, reference: dict[str, Any], call: Call) -> Done | Later:
        """Never asked: a script does not wait as a row."""
        return Done(succeeded=False, message="a script does not wait", code="no_answer")

    def abort(self, reference: dict[str, Any], call: Call) -> None:
        """A script that runs is told by `call.stopping`."""


def _run_problems(run: str) -> list[Problem]:
    if not run.strip():
        return [Problem("wrong_value", "The script is empty.", pointer("run"))]
    if "\0" in run or any("\ud800" <= character <= "\udfff" for character in run):
        return [Problem("wrong_value", "The script holds a character that no file can.", pointer("run"))]
    return []


def _env_problems(env: Any) -> list[Problem]:
    if not isinstance(env, dict):
        return [] if templated(env) else [Problem("wrong_type", "env is a mapping of names to text.", pointer("env"))]
    found: list[Problem] = []
    for name, value in env.items():
        place = pointer("env", name)
        if why := refused_name(name):
            found.append(Problem("refused_name", f"{name} {why}.", place))
        if templated(value):
            continue
        text = text_of(value)
        if text is None:
            found.append(Problem("wrong_type", f"{name} is text, a number or a boolean, not {_kind(value)}.", place))
        elif "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            found.append(Problem("wrong_value", f"{name} holds a character that no environment can (NUL or half a surrogate pair).", place))
        elif len(name) + 1 + len(text.encode()) > LARGEST_VALUE:
            found.append(Problem("too_large", f"{name} is larger than a variable can be ({LARGEST_VALUE:,} bytes with its name).", place))
    return found


def _kind(value: Any) -> str:
    return "nothing" if value is None else "a mapping" if isinstance(value, dict) else "a list"


def _environment(arguments: dict[str, Any], call: Call, work: Path, output: Path) -> dict[str, str]:
    """All that the script gets to see."""
    given = {name: text_of(value) or "" for name, value in arguments.get("env", {}).items()}
    ours = {name: value for name, value in call.environment.items() if name.startswith("RELORCH_")}
    return {
        "LANG": "C.UTF-8",
        "HOME": str(work),
        **given,
        "PATH": _path(),
        "RELORCH_RELEASE": str(call.release),
        "RELORCH_ACTIVITY": call.activity,
        "RELORCH_ATTEMPT": str(call.attempt),
        **ours,
        "RELORCH_IDEMPOTENCY_KEY": call.key,
        "RELORCH_WORKSPACE": str(call.workspace.absolute()),
        "RELORCH_OUTPUT": str(output),
        "RELORCH_PYTHON": sys.executable,
    }


def _path() -> str:
    """Where commands are found: the worker's own places, and `python3` even if it is nowhere on them."""
    places = [place for place in os.environ.get("PATH", USUAL_PATH).split(":") if place.startswith("/")] or USUAL_PATH.split(":")
    own = str(Path(sys.executable).resolve().parent)
    return ":".join(places if own in places else [own, *places])


def _judged(ended: runner.Ended, log: Log, call: Call, folder: int) -> Done:
    outputs: dict[str, Any] = {}
    trouble = ""
    try:
        outputs = dict(parse_outputs(_read(folder)))
    except BadOutput as problem:
        trouble = str(problem)
    notes = [f"{ended.stuck} of its processes could not be ended yet and may still run"] if ended.stuck else []
    if log.failed:
        notes.append(f"part of its log could not be stored ({type(log.failed).__name__})")
    if ended.how == "exited" and ended.code == 0 and not trouble:
        return Done(succeeded=True, outputs=outputs, message="; ".join(notes))
    what, code = _failure(ended, call, trouble)
    return Done(succeeded=False, outputs=outputs, message="\n".join(filter(None, ["; ".join([what, *notes]), log.last_lines()])), code=code)


def _failure(ended: runner.Ended, call: Call, trouble: str) -> tuple[str, str]:
    """What went wrong in words and as a code."""
    if ended.how == "exited" and ended.code:
        return f"exit code {ended.code}" + (f" (ended by signal {ended.code - 128})" if ended.code > 128 else ""), f"exit_{ended.code}"
    if ended.how == "exited":
        return trouble, "bad_outputs"
    if ended.how == "unstartable":
        return f"the script cannot be started: {storable(ended.why)}", "cannot_start"
    if ended.how == "timeout":
        seconds = call.timeout or 0
        return f"timed out after {f'{seconds:.1f}s' if seconds < 10 else duration_text(round(seconds))}; everything it started was ended", "timeout"
    if ended.how == "stopped":
        return "stopped; everything it started was ended", "stopped"
    return f"it is not known how the script ended: {ended.why}", "supervisor_lost"


def _read(folder: int) -> bytes:
    """What lies in the output file, if it still is a plain file in the folder that was made for it: a link would lead us anywhere."""
    try:
        file = os.open("output", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except FileNotFoundError:
        return b""
    except OSError:
        raise BadOutput("$RELORCH_OUTPUT is not a plain file any more") from None
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise BadOutput("$RELORCH_OUTPUT is not a plain file any more")
        data = b""
        while len(data) <= OUTPUTS_BYTES and (piece := os.read(file, OUTPUTS_BYTES + 1)):
            data += piece
        return data
    finally:
        os.close(file)
