"""Scripts: their environment, their outputs, their ends (S22, S23, X-01)."""

from __future__ import annotations

import json
import os
import random
import resource
import stat
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from processes.problems import Problem
from releases.connectors import runner
from releases.connectors.output import HALF
from releases.connectors.script import Script, refused_name

from .conftest import Machine, wait_until

ECHO = f"#!{sys.executable}\nimport json, os\nprint(json.dumps({{key.decode(): value.hex() for key, value in os.environb.items()}}))\n"


def test_off_unless_the_administrator_allows_it(machine: Machine, settings: Any) -> None:
    settings.RELORCH_ALLOW_SCRIPTS = False
    ran = machine.run("touch $RELORCH_WORKSPACE/ran")
    assert (ran.end.succeeded, ran.end.code) == (False, "scripts_disabled")
    assert "RELORCH_ALLOW_SCRIPTS=1" in ran.end.message
    assert not machine.workspace.exists()


def test_the_environment_is_only_what_is_named(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELORCH_SECRET_KEY", "ours")
    monkeypatch.setenv("DATABASE_URL", "ours")
    monkeypatch.setenv("PYTHONPATH", "/ours")
    ran = machine.run(ECHO, {"GREETING": "hello", "TZ": "Europe/Berlin"}, environment={"RELORCH_PHASE": "build", "OTHER": "dropped"})
    seen = {name: bytes.fromhex(value).decode() for name, value in json.loads(ran.log).items()}
    assert set(seen) - {"LC_CTYPE", "PWD"} == {
        *("PATH", "HOME", "LANG", "GREETING", "TZ", "RELORCH_PHASE", "RELORCH_RELEASE", "RELORCH_ACTIVITY", "RELORCH_ATTEMPT"),
        *("RELORCH_IDEMPOTENCY_KEY", "RELORCH_WORKSPACE", "RELORCH_OUTPUT", "RELORCH_PYTHON"),
    }
    assert seen["RELORCH_IDEMPOTENCY_KEY"] == "rel-1.a.1"
    assert seen["RELORCH_WORKSPACE"] == str(machine.workspace)
    assert seen["LANG"] == "C.UTF-8"
    assert all(place.startswith("/") for place in seen["PATH"].split(":"))
    assert Path(seen["HOME"]).is_relative_to(machine.home)
    assert "ours" not in seen.values()


def test_it_runs_in_a_folder_of_its_own_that_is_removed(machine: Machine) -> None:
    ran = machine.run('pwd; [ "$PWD" = "$HOME" ]; touch here; mkdir -p locked/in; chmod 000 locked; echo shared > "$RELORCH_WORKSPACE/shared"; umask')
    assert ran.end.succeeded, ran
    folder = Path(ran.log.splitlines()[0])
    assert not folder.exists()
    assert not any((machine.home / "work").iterdir())
    assert stat.S_IMODE((machine.home / "work").stat().st_mode) == 0o700
    assert machine.run('cat "$RELORCH_WORKSPACE/shared"').log == "shared\n"


def test_outputs(machine: Machine) -> None:
    ran = machine.run("echo image=shop:1 >> $RELORCH_OUTPUT; printf 'notes<<EOF\\none\\ntwo\\nEOF\\n' >> $RELORCH_OUTPUT")
    assert ran.end.succeeded
    assert ran.end.outputs == {"image": "shop:1", "notes": "one\ntwo"}
    assert ran.log == ""


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ("echo 'no name' > $RELORCH_OUTPUT", "line 1"),
        ("rm $RELORCH_OUTPUT; ln -s /etc/passwd $RELORCH_OUTPUT", "plain file"),
        ("rm $RELORCH_OUTPUT; mkfifo $RELORCH_OUTPUT", "plain file"),
        ("rm $RELORCH_OUTPUT; mkdir $RELORCH_OUTPUT", "plain file"),
        ("head -c 2000000 /dev/zero > $RELORCH_OUTPUT", "1,048,576 bytes"),
    ],
)
def test_outputs_that_cannot_be_read_fail_the_attempt(machine: Machine, run: str, words: str) -> None:
    ran = machine.run(run)
    assert (ran.end.succeeded, ran.end.code) == (False, "bad_outputs")
    assert words in ran.end.message


def test_the_output_file_may_be_replaced_or_removed(machine: Machine) -> None:
    assert machine.run("echo a=1 > new; mv new $RELORCH_OUTPUT").end.outputs == {"a": "1"}
    assert machine.run("rm $RELORCH_OUTPUT").end.succeeded


def test_a_link_in_place_of_the_folder_leads_nowhere(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "output").write_text("stolen=1\n")
    ran = machine.run(f'cd /; mv "$HOME" "$HOME.old"; ln -s {tmp_path}/secret "$HOME"')
    assert "stolen" not in ran.end.outputs
    assert (tmp_path / "secret" / "output").exists()


@pytest.mark.parametrize(
    ("run", "code", "words"),
    [
        ("echo broken; exit 3", "exit_3", "broken"),
        ("false; echo not reached", "exit_1", "exit code 1"),
        ("kill -9 $$", "exit_137", "signal 9"),
        ("no_such_command", "exit_127", "no_such_command"),
        ("if then fi", "exit_2", "yntax"),
        ("#!/no/such/interpreter\n", "cannot_start", "/no/such/interpreter does not exist"),
        ("#!/etc/passwd\n", "cannot_start", "not an executable file"),
        ("#!\n", "cannot_start", "no interpreter"),
        ("#!python3\n", "cannot_start", "/usr/bin/env python3"),
        ("#!/bin/sh\r\necho\r\n", "cannot_start", "carriage return"),
        ("#!/usr/bin/env no_such_interpreter\n", "exit_127", "no_such_interpreter"),
        ("#!/tmp\n", "cannot_start", "/tmp"),
    ],
)
def test_bad_ends(machine: Machine, run: str, code: str, words: str) -> None:
    ran = machine.run(run)
    assert (ran.end.succeeded, ran.end.code) == (False, code)
    assert words in ran.end.message
    assert not any((machine.home / "work").iterdir())


def test_outputs_of_a_failed_script_are_kept(machine: Machine) -> None:
    ran = machine.run("echo reached=staging > $RELORCH_OUTPUT; exit 4")
    assert (ran.end.code, ran.end.outputs) == ("exit_4", {"reached": "staging"})


def test_the_interpreter_that_the_first_line_names(machine: Machine) -> None:
    assert machine.run(f"#!{sys.executable}\nprint('from python')").log == "from python\n"
    assert machine.run("#!/bin/sh -x\necho hi").log == "+ echo hi\nhi\n"
    assert machine.run("#!/usr/bin/env python3\nimport os; print(os.environ['RELORCH_RELEASE'])").log == "1\n"


def test_the_log_is_streamed_while_it_runs(machine: Machine) -> None:
    at: list[float] = []
    machine.run("echo one; sleep 0.4; echo two >&2", log=lambda text: at.append(time.monotonic()))
    assert len(at) == 2
    assert at[1] - at[0] > 0.3


def test_pipes_work_as_in_a_terminal(machine: Machine) -> None:
    ran = machine.run("yes | head -n 1")
    assert ran.end.succeeded
    assert ran.log == "y\n"


def test_a_huge_log_is_cut_in_the_middle(machine: Machine) -> None:
    ran = machine.run("echo first; head -c 30000000 /dev/zero | tr '\\0' x; echo; echo last")
    assert ran.end.succeeded
    assert ran.log.startswith("first\nxxx")
    assert ran.log.endswith("xxx\nlast\n")
    assert 2 * HALF < len(ran.log) < 2 * HALF + 200
    assert "bytes left out" in ran.log


def test_terminal_escapes_and_broken_bytes_are_only_data(machine: Machine) -> None:
    assert machine.run(r"printf '\033[31mred\377\000\n'").log == "\x1b[31mred��\n"


def test_secrets_are_masked_in_log_and_message(machine: Machine) -> None:
    ran = machine.run(
        'printf hunter2-; sleep 0.1; echo hunter2; echo "$TOKEN" | base64; echo "$TOKEN" >&2; exit 1',
        {"TOKEN": "hunter2-hunter2"},
        secrets=("hunter2-hunter2",),
    )
    assert "hunter2" not in ran.log + ran.end.message
    assert "aHVudGVyMi1odW50ZXIy"[:12] not in ran.log
    assert ran.log.count("•••") == 3


def test_a_log_that_cannot_be_stored_does_not_end_a_deployment(machine: Machine) -> None:
    def full(text: str) -> None:
        raise OSError("no space")

    ran = machine.run("echo one; touch $RELORCH_WORKSPACE/done", log=full)
    assert ran.end.succeeded
    assert "could not be stored" in ran.end.message
    assert (machine.workspace / "done").exists()


METACHARACTERS = [
    *(
        "",
        " ",
        "$(touch pwned)",
        "`touch pwned`",
        "; touch pwned",
        "| touch pwned",
        "&& touch pwned",
        "|| true",
        "> pwned",
        "< /etc/passwd",
        "\n touch pwned\n",
        "\r\n",
    ),
    *(
        "'",
        '"',
        "\\",
        "'\"'\"'",
        "${HOME}",
        "$IFS",
        "~",
        "*",
        "?",
        "[a-z]",
        "{a,b}",
        "!!",
        "#",
        "-n",
        "--help",
        "-e x",
        "%s%n",
        "\x1b[2J",
        "\x07",
        "\x7f",
        "\t",
        "\x01",
    ),
    *(
        "ä€😀",
        "\u202e",
        "\ufeff",
        "e\u0301",
        "$'\\x41'",
        "\\u0041",
        "a" * 100_000,
        "() { :; }; touch pwned",
        "${{ inputs.x }}",
        "=",
        "a=b",
        "\\\n",
        "<<EOF\nEOF",
    ),
]


def test_values_arrive_byte_for_byte_and_run_nothing(machine: Machine) -> None:
    seed = int(os.environ.get("RELORCH_SEED", random.SystemRandom().randrange(1 << 30)))
    print("seed", seed)
    chance = random.Random(seed)
    values = list(METACHARACTERS)
    while len(values) < 320:
        values.append("".join(chance.choice(METACHARACTERS)[:50] + chr(chance.randrange(1, 0x2FFF)) for _ in range(chance.randrange(1, 6))))
    for start in range(0, len(values), 80):
        given = {f"V{index}": value for index, value in enumerate(values[start : start + 80])}
        ran = machine.run(ECHO, given)
        seen = json.loads(ran.log)
        assert {name: bytes.fromhex(seen[name]).decode() for name in given} == given
        shell = machine.run("".join(f'printf "%s\\0" "${name}"\n' for name in given) + "ls -A", given, log=(pieces := []).append)
        assert shell.end.succeeded
        assert "".join(pieces).split("\ufffd")[:-1] == list(given.values()), "NUL is stored as U+FFFD"
        assert sorted("".join(pieces).rpartition("\ufffd")[2].split()) == ["output", "script"], "nothing else was made"


def test_numbers_and_booleans_are_text(machine: Machine) -> None:
    ran = machine.run("echo $A $B $C $D $E", {"A": 3, "B": True, "C": 1.5, "D": 4.0, "E": False})
    assert ran.log == "3 true 1.5 4 false\n"


REFUSED = [
    *(
        "PATH",
        "path",
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "DYLD_INSERT_LIBRARIES",
        "BASH_ENV",
        "ENV",
        "IFS",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "PYTHONHOME",
        "PYTHON_X",
    ),
    *(
        "RELORCH_OUTPUT",
        "RELORCH_X",
        "PERL5LIB",
        "PERL5OPT",
        "RUBYOPT",
        "NODE_OPTIONS",
        "JAVA_TOOL_OPTIONS",
        "_JAVA_OPTIONS",
        "GCONV_PATH",
        "GLIBC_TUNABLES",
        "SHELLOPTS",
    ),
    *("BASHOPTS", "PS4", "BASH_FUNC_ls", "MALLOC_CHECK_", "", "A B", "A=B", "1A", "Ä", "A-B", "A\0", "A\n", "A" * 256),
]


@pytest.mark.parametrize("name", REFUSED)
def test_names_that_are_refused(machine: Machine, name: str) -> None:
    assert refused_name(name)
    ran = machine.run("echo ran", {name: "x"})
    assert (ran.end.succeeded, ran.end.code, ran.log) == (False, "bad_arguments", "")


@pytest.mark.parametrize("name", ["A", "_", "a_b9", "LANG", "LC_ALL", "TZ", "HOME", "PATHS", "ENVIRONMENT", "IMAGE", "http_proxy", "NODE", "GIT_SSH_COMMAND"])
def test_names_that_are_fine(name: str) -> None:
    assert not refused_name(name)


@pytest.mark.parametrize("value", [None, [], {}, ["x"], {"a": 1}, "a\0b", "\ud800", "x" * 131_072])
def test_values_that_no_environment_holds(machine: Machine, value: object) -> None:
    ran = machine.run("echo ran", {"VALUE": value})
    assert (ran.end.succeeded, ran.end.code, ran.log) == (False, "bad_arguments", "")
    assert "VALUE" in ran.end.message


def test_an_environment_that_is_too_large_altogether_is_a_clear_end(machine: Machine) -> None:
    ran = machine.run("echo ran", {f"V{number}": "x" * 100_000 for number in range(40)})
    assert (ran.end.succeeded, ran.end.code) == (False, "cannot_start")
    assert "too long" in ran.end.message.lower()


def places(problems: list[Problem]) -> list[tuple[str, str]]:
    return [(problem.place, problem.code) for problem in problems]


def test_what_publishing_finds() -> None:
    script = Script()
    assert script.problems({"run": "echo", "env": {"A": "${{ inputs.a }}", "B": 1}}) == []
    assert places(script.problems({})) == [("/run", "missing_key")]
    assert places(script.problems({"run": 5})) == [("/run", "wrong_type")]
    assert places(script.problems({"run": "  "})) == [("/run", "wrong_value")]
    found = script.problems({"run": "echo ${{ inputs.a }}"})
    assert places(found) == [("/run", "expression_in_script")]
    assert "`env`" in found[0].message
    assert script.problems({"run": "echo '$${{ literal }}'"}) == []
    assert places(script.problems({"run": "x", "env": {"PATH": "x", "OK": None, "T": {"a": "${{ inputs.a }}"}}})) == [
        ("/env/PATH", "refused_name"),
        ("/env/OK", "wrong_type"),
    ]
    assert places(script.problems({"run": "x", "env": "A=1"})) == [("/env", "wrong_type")]
    assert script.problems({"run": "x", "env": "${{ inputs.env }}"}) == []
    assert places(script.problems({"run": "x", "environment": {}})) == [("/environment", "unknown_key")]


def test_a_resolved_literal_brace_is_only_text(machine: Machine) -> None:
    assert machine.run("echo '${{ literal }}'").log == "${{ literal }}\n"


def test_required_sandbox_without_one_fails_clearly(machine: Machine, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_bubblewrap", lambda: ("", "bubblewrap (bwrap) is not installed"))
    settings.RELORCH_SANDBOX = "required"
    ran = machine.run("echo ran")
    assert (ran.end.succeeded, ran.end.code, ran.log) == (False, "sandbox_missing", "")
    assert "RELORCH_SANDBOX" in ran.end.message
    assert runner.protection("off").mode == ("supervised" if sys.platform == "linux" else "group")
    assert runner.protection("auto").note


def test_a_home_that_cannot_be_written_is_a_clear_end(machine: Machine) -> None:
    machine.home.parent.mkdir(exist_ok=True)
    machine.home.write_text("a file, not a folder")
    ran = machine.run("echo ran")
    assert (ran.end.succeeded, ran.end.code) == (False, "cannot_start")


def test_the_supervisor_costs_little(machine: Machine) -> None:
    """Counted in time of the processor, which other work on the machine stretches less than that of the clock."""
    machine.run("exit 0")
    costs, clock = [], []
    for _ in range(10):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        clock.append(machine.run("exit 0").seconds)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    print(f"least: {min(costs) * 1000:.0f} ms of the processor, {min(clock) * 1000:.0f} ms of the clock")
    assert min(costs) < 0.1, "measured at 25 ms, 35 of the clock, on an idle machine"


def test_several_at_once_from_threads(machine: Machine) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        ends = list(pool.map(lambda number: machine.run(f"#!/bin/sh\nsleep 0.1; echo n={number} > $RELORCH_OUTPUT"), range(24)))
    assert [ran.end.outputs for ran in ends] == [{"n": str(number)} for number in range(24)]
    assert wait_until(lambda: not any((machine.home / "work").iterdir()))


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_privileges_cannot_be_gained(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_bubblewrap", lambda: ("", "not for this test"))
    assert "NoNewPrivs:\t1" in machine.run("cat /proc/self/status").log
