"""What the words of a step say: who, how long, after what, in what way. English, as release procedures are written. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from processes.describing.outline import Code

LONGEST_NAME = 80


def _any(*forms: str) -> re.Pattern[str]:
    return re.compile("|".join(forms), re.IGNORECASE)


_OWNER = _any(
    r"[(\[]\s*(?:owners?|owned by|responsible|assigned to|assignees?|by)\s*[:=]?\s*(?P<a>[^()\[\]]+)[)\]]",
    r"\b(?:owners?|responsible|assignees?)\s*:\s*(?P<b>[^()\[\].;\n]+(?:\.[^\s()\[\].;\n]+)*)",
)
_APPROVAL = _any(
    r"\bapprov(?:al|als|e|es|ed|er|ers)\b",
    r"\bsign[- ]?offs?\b|\bsigns? off\b",
    r"\bgo\s?/\s?no[- ]go\b",
    r"\bchange (?:advisory )?board\b",
)
_WHO = r"(?:the\s+)?(?P<who>[\w@.&'+-]+(?:[ /][\w@.&'+-]+){0,3}?)"
_GROUP = r"(?P<who>[\w&-]+(?: [\w&-]+){0,2}?)"
_END = (
    r"(?=\s*(?:\.(?:\s|$)|[;:()]|,\s+(?:then|and then|before|after|if|once|when|who|which|but|so)\b|$"
    r"|\b(?:team'?s?\s+)?(?:before|after|within|to|for|in|on|when|once|is|are|must|and then|that)\b))"
)
_APPROVERS = (
    _any(
        r"\b(?:approv(?:al|als|ed|e)|approvers?|sign(?:ed)?[- ]?offs?)\s*(?:is |are )?(?:needed |required )?"
        rf"(?:by|from|of|:)\s*:?\s*(?P<list>.+?){_END}"
    ),
    _any(rf"^{_WHO}\s+(?:must\s+|has to\s+|have to\s+|to\s+)?(?:approves?|signs? off)\b"),
    _any(rf"\b(?:get|obtain|request|collect|wait for)\s+(?:the\s+|an?\s+)?{_GROUP}(?:'s)?\s+(?:approval|sign[- ]?off)\b"),
    _any(rf"^(?:the\s+)?{_GROUP}\s+(?:approval|sign[- ]?off)\b"),
)
_NOBODY = frozenset(
    (
        "final",
        "manual",
        "formal",
        "written",
        "explicit",
        "approval",
        "it",
        "this",
        "they",
        "release",
        "production",
        "get",
        "obtain",
        "request",
        "go",
        "deployment",
    )
)
"""What stands where a name would, and is none."""

_NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "both": 2}
_COUNT = _any(
    r"\b(?P<n>\d{1,2}|one|two|three|four|five)\s+"
    r"(?:approv|sign[- ]?off|(?:people|members|reviewers|approvers|persons)\b|of\b|from\b)"
)
_TIME = r"(?P<n>\d{1,4}(?:\.\d+)?)\s*(?P<unit>s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|weeks?)\b"
_WAIT = _any(rf"^(?:wait|pause|soak|sleep)\b(?:\s+(?:for|at least|about))*\s+{_TIME}")
_EXPECTED = (_any(rf"[(\[]\s*(?:~|about|approx\.?|takes)?\s*{_TIME}\s*[)\]]"), _any(rf"\btakes\s+(?:about\s+)?{_TIME}"))
_DUE = _any(rf"\bwithin\s+{_TIME}")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_PARALLEL = _any(
    r"[,(]?\s*\b(?:(?:run|runs|done|all|both)\s+)?(?:in parallel|at the same time|simultaneously|concurrently)"
    r"(?:\s+(?P<with>with|as|to)\s+(?P<other>[^().,;]+))?\s*\)?"
)
_AFTER = _any(
    r"[(\[]\s*(?:only\s+)?(?:after|once|depends on|requires|needs)\s*:?\s+(?P<a>[^()\[\]]+)[)\]]",
    r"\b(?:depends on|after)\s*:\s*(?P<b>[^().;\n]+)",
    r"\bafter\s+(?P<c>(?:steps?|phases?|stages?|items?)\s+[\d, and-]+)",
    r"^after\s+(?P<d>[^,.;()]{3,60}),",
    r"\bonce\s+(?P<e>[^,.;()]{3,60}?)\s+(?:is|are|has|have)\s+(?:been\s+)?(?:done|complete[d]?|finished|passed|over|green|approved|succeeded)",
)
_MANUAL = _any(r"\bmanual(?:ly)?\b", r"\bby hand\b")
_AUTOMATED = _any(r"\bautomat(?:ed|ically)\b", r"\b(?:pipeline|ci job|github actions?|jenkins|workflow|nightly job)\b")
_OPTIONAL = _any(r"[(\[]\s*optional(?:ly)?\s*[)\]]", r"^optional(?:ly)?\b\s*[,:-]?\s*")
_CONDITION = _any(r"^(?:if|when|only if|unless|in case)\b")
_ROLLBACK = _any(
    r"\broll(?:ing)?[- ]?backs?\b",
    r"\bback[- ]?out\b",
    r"\bif (?:something|anything) (?:goes|went) wrong\b",
    r"\bin case of (?:failure|problems|an? incident)\b",
    r"\bon failure\b",
)
_DOES = _any(
    r"^(?:re-?)?(?:build|compile|package|assemble|deploy|roll\s?out|provision|scan|lint|migrate|tag|publish|upload|push)\b",
    r"^(?:bundle|generate|promote|restart|sync|back ?up)\b",
    r"^(?:run|execute|trigger|start)\b.*\b(?:tests?|suite|scan|build|pipeline|script|migrations?|job|checks?)\b",
    r"^(?:automated|unit|integration|smoke|regression|end[- ]to[- ]end|e2e|load|performance|security)\s+(?:tests?|scans?)\b",
)
_LOOKS = _any(
    r"^(?:check|verify|confirm|review|ensure|make sure|look|inspect|monitor|watch)\b",
    r"^(?:decide|ask|tell|inform|announce|write|wait until|discuss|agree)\b",
)
_BRACKETED = _any(r"[(\[]\s*(?:manual(?:ly)?(?:\s+step)?|automat(?:ed|ic)|after\b[^()\[\]]*|depends on\b[^()\[\]]*|(?:~|about)?\s*\d+\s*\w+)\s*[)\]]")
_TRAILING = _any(r",?\s+(?:after (?:steps?|phases?) [\d, and-]+|within \d+\s*\w+)$")
_NUMBERED = _any(
    r"^(?:phase|stage|step)\b(?:\s*(?:\d+|[ivx]+)\b\s*[:.)–—-]*|\s*[:–—-]+)\s+(?=\S)",
    r"^\d{1,3}(?:(?:\.\d{1,3})+\.?|\s*[.):–—-])\s+(?=\S)",
)
_EXAMPLE = _any(r",?\s+\(?(?:e\.g\.?|i\.e\.?|for example|for instance|such as)(?:[ ,:].*)?$")
_SHELL = frozenset({"sh", "bash", "shell", "zsh", "console", "shell-session", "terminal"})
_PROGRAMS = (
    "export cd git gh make npm npx yarn pnpm pip pip3 pipx poetry uv python python3 tox nox twine docker podman kubectl helm terraform ansible aws gcloud"
    " az cargo go mvn gradle sbt dotnet nuget gem bundle rake curl wget ssh scp rsync tar zip sha256sum shasum gpg cosign goreleaser"
    " sed cp mv rm mkdir echo cat pytest"
)
_COMMAND = re.compile(rf"^(?:\$\s|sudo\s|\./\w|(?:{'|'.join(_PROGRAMS.split())})\s)")
_URL = re.compile(r"\[([^\]]*)\]\([^)]*\)|\[([^\]]+)\]\[[^\]]*\]|<(https?://[^>]+)>")


def plain(text: str) -> str:
    """Markdown as one line of text: links by their words, no stars, no back-ticks; what stands between back-ticks stays as it is."""
    parts = re.split(r"(`{1,2}[^`]+`{1,2})", text)
    return " ".join("".join(part.strip("`") if part.startswith("`") else _unmarked(part) for part in parts).split())


def _unmarked(text: str) -> str:
    said = _URL.sub(lambda m: m[1] or m[2] or m[3] or "", text)
    said = re.sub(r"(\*\*|__|`|~~)", "", said)
    return re.sub(r"(?<![\w*])\*(?=\S)|(?<=\S)\*(?![\w*])", "", said)


def name_of(text: str) -> str:
    """What a step or phase is called: its bold lead or first clause, without number, owner and marks, at most 80 characters."""
    bold = re.match(r"^\s*(?:\*\*|__)([^*_]{3,80}?)[:.]?(?:\*\*|__)\s*(?=[:.–—-]|$|\S)", text)
    said = plain(bold[1] if bold else text.split("\n\n", 1)[0])
    for marks in (_OWNER, _OPTIONAL):
        said = marks.sub(" ", said)
    said = _PARALLEL.sub(" ", _BRACKETED.sub(" ", said))
    said = _NUMBERED.sub("", _TRAILING.sub("", said.strip(" .")))
    said = _EXAMPLE.sub("", " ".join(said.split()))
    clause = re.match(r"^(.{12,}?)(?:[.!?](?=\s|$)|:(?=\s|$)|;\s|\s[–—-]\s|\s\()", said)
    said = (clause[1] if clause else said).strip(" .,:;-–—(")
    if len(said) > LONGEST_NAME:
        said = said[:LONGEST_NAME].rsplit(" ", 1)[0].rstrip(" .,:;-–—(") + " …"
    return said[:1].upper() + said[1:]


def title_of(text: str) -> str:
    """What a document is called: its whole title, without owner."""
    said = without_owners(plain(text)).strip(" .:;-–—")
    return said if len(said) <= 2 * LONGEST_NAME else said[: 2 * LONGEST_NAME].rsplit(" ", 1)[0] + " …"


def id_of(name: str, taken: Iterable[str], otherwise: str) -> str:
    """A snake-case id made of the name, not one of those taken."""
    flat = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "_", flat).strip("_")
    if len(slug) > 40:
        slug = slug[:40].rsplit("_", 1)[0]
    if not slug:
        slug = otherwise
    elif not slug[0].isalpha():
        slug = f"{otherwise}_{slug}"
    found, number, known = slug, 2, set(taken)
    while found in known:
        found, number = f"{slug}_{number}", number + 1
    return found


def owners_in(text: str) -> list[str]:
    """The owners that a heading or step names, as written."""
    return [name for found in _OWNER.finditer(plain(text)) for name in names_in(found["a"] or found["b"])]


def without_owners(text: str) -> str:
    """The text without the owners that it names."""
    return _OWNER.sub("", text).strip()


def names_in(text: str) -> list[str]:
    """`QA, security and ops` as three names."""
    parts = re.split(r"\s*(?:,|;|/|&|\band\b|\+)\s*", re.sub(r"\s*\([^)]*\)", "", text))
    cleaned = (_LEADING.sub("", part.strip(" .:'\"`*_")).strip() for part in parts)
    return [part for part in cleaned if part]


_LEADING = re.compile(r"^(?:(?:both|the|a|an|any|one|all|\d+|two|three|people|members|of|from)\s+)+", re.IGNORECASE)


def asks_approval(text: str) -> bool:
    """Whether somebody has to agree."""
    return bool(_APPROVAL.search(plain(text)))


def approvers_in(text: str) -> list[str]:
    """Who has to agree, as written; empty when nobody is named."""
    said = plain(text)
    for pattern in _APPROVERS:
        if found := pattern.search(said):
            groups = found.groupdict()
            names = [name for name in names_in(groups.get("list") or groups.get("who") or "") if name.lower() not in _NOBODY]
            if names:
                return names
    return []


def count_in(text: str) -> int:
    """How many have to agree in each line; 1 when nothing is said."""
    found = _COUNT.search(plain(text))
    if not found:
        return 1
    return min(20, max(1, _NUMBERS.get(found["n"].lower(), 0) or int(found["n"])))


def wait_in(text: str) -> int | None:
    """Seconds that the step says to wait, or None."""
    return _seconds(_WAIT.search(plain(text)))


def expected_in(text: str) -> int | None:
    """Seconds that the step is said to take, or None."""
    said = plain(text)
    return next((seconds for form in _EXPECTED if (seconds := _seconds(form.search(said)))), None)


def due_in(text: str) -> int | None:
    """Seconds within which an answer is wanted, or None."""
    return _seconds(_DUE.search(plain(text)))


def _seconds(found: re.Match[str] | None) -> int | None:
    return int(float(found["n"]) * _SECONDS[found["unit"][0].lower()]) if found else None


def parallel_in(text: str) -> tuple[bool, str]:
    """Whether it runs beside something else, and beside what, where that is said."""
    found = _PARALLEL.search(plain(text))
    return (bool(found), (found["other"] or "").strip() if found else "")


def split_parallel(text: str) -> list[str]:
    """`Build backend and frontend in parallel` as its parts; one part when it does not say several things."""
    said = plain(text).rstrip(".")
    found = _PARALLEL.search(said)
    if not found or found["with"] or said[found.end() :].strip(" ()."):
        return [text]
    lead = re.match(r"^(?P<verb>\w+(?:\s+the)?)\s+(?P<things>.+)$", said[: found.start()].strip(" ,("))
    things = re.split(r"\s*,\s*(?:and\s+)?|\s+and\s+|\s*&\s*", lead["things"]) if lead else []
    if not lead or len(things) < 2 or any(len(thing.split()) > 4 or not thing for thing in things):
        return [text]
    return [f"{lead['verb']} {thing}" for thing in things]


def after_in(text: str) -> list[tuple[str, bool]]:
    """What a step says it comes after, and whether it says so outright (in brackets, by label or by number)."""
    return [(next(part for part in found.groups() if part).strip(), not (found["d"] or found["e"])) for found in _AFTER.finditer(plain(text))]


def is_manual(text: str) -> bool:
    """Whether it says that people do it."""
    return bool(_MANUAL.search(plain(text)))


def is_automated(text: str) -> bool:
    """Whether it says that a machine does it; to look after what a machine does is work of people."""
    return bool(_AUTOMATED.search(plain(text))) and not _LOOKS.match(plain(text))


def machine_work(text: str) -> bool:
    """Whether its verb is work that a machine usually does: build, deploy, scan, run the tests."""
    return bool(_DOES.search(name_of(text)))


def is_optional(text: str) -> bool:
    """Whether it may be left out."""
    return bool(_OPTIONAL.search(plain(text)))


def is_conditional(text: str) -> bool:
    """Whether it is done in some cases only."""
    return bool(_CONDITION.search(plain(text)))


def is_rollback(title: str) -> bool:
    """Whether a heading is about what is done when the release has failed."""
    return bool(_ROLLBACK.search(plain(title)))


def commands_in(text: str, code: Iterable[Code]) -> str:
    """The commands a step consists of: its shell blocks, or the one command that `Run …` names between back-ticks; else nothing."""
    blocks = [found for block in code if (found := _script(block))]
    if blocks:
        return "\n".join(blocks)
    runs = re.match(r"^\W*(?:run|execute)\b[^`]*`{1,2}([^`]+)`{1,2}", text, re.IGNORECASE)
    return runs[1].strip() if runs and _COMMAND.match(f"{runs[1].strip()} ") else ""


def _script(block: Code) -> str:
    lines = [line.rstrip() for line in block.text.strip("\n").split("\n")]
    least = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    lines = [line[least:] for line in lines]
    prompted = [line for line in lines if line.startswith("$ ")]
    if prompted:  # a session: what has no prompt is output
        return "\n".join(line[2:] for line in prompted)
    shell = block.language in _SHELL
    if block.language and not shell:
        return ""
    looks = [line for line in lines if line.strip() and not line.startswith("#")]
    return "\n".join(lines) if looks and (shell or _COMMAND.match(looks[0])) else ""


VERSION_VARIABLES = frozenset({"VERSION", "RELEASE_VERSION", "NEW_VERSION", "RELEASE", "TAG", "NEW_TAG", "RELEASE_TAG"})
_VERSION_PLACEHOLDER = re.compile(r"\bv?X\.Y(?:\.Z)?\b|<(?:new[ _-]?)?(?:version|tag)>|\{\{?\s*version\s*\}?\}|\bv?x\.y\.z\b", re.IGNORECASE)


def names_version(text: str, script: str) -> bool:
    """Whether it needs to be told which version is released."""
    return bool(_VERSION_PLACEHOLDER.search(f"{text}\n{script}")) or bool(VERSION_VARIABLES & set(unset_variables(script)))


def unset_variables(script: str) -> list[str]:
    """The environment variables that a script reads and does not set, in order."""
    given = set(re.findall(r"(?:^|[\s;])(?:export\s+)?([A-Za-z_]\w*)=", script))
    loops = {name for pair in re.findall(r"\bfor\s+(\w+)\s+in\b|\bread\s+(?:-\w+\s+)*(\w+)", script) for name in pair if name}
    read = re.findall(r"\$\{?([A-Z][A-Z0-9_]{1,62})\b", script)
    return [name for name in dict.fromkeys(read) if name not in given | loops and name not in {"HOME", "PATH", "PWD", "LANG", "USER"}]


def placeholders_in(script: str) -> list[str]:
    """What a person would replace by hand in these commands: `<commit-hash>`."""
    return list(dict.fromkeys(re.findall(r"<([a-zA-Z][\w ./-]{1,40})>", script)))
