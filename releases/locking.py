"""Locks (S9a): a name that one phase or activity holds at a time, first come, first served over all releases.

A request is a row with a place in the queue of its name. All rows are read and written under one advisory lock, taken after the rows of roots and
never before, so that trees cannot deadlock; who frees a name chooses the next in line, and the tree of that one takes it up in a transaction of its
own. Names are worked out before, outside any lock (`releases/evaluating.py`). Called only where a process names locks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import connection

from releases import doorbell, engine
from releases.flows import compiled
from releases.rings import Ticket, ring
from releases.states import Run
from releases.values import End, Ref
from releases.wording import WAITS_FOR_LOCK

if TYPE_CHECKING:
    from releases.engine import Work

LONGEST_NAME = 200
_ADVISORY = 0x6C6F636B


@dataclass(frozen=True, slots=True)
class Gated:
    """A run whose attempt may start once it has its locks. `was` is the state of both: queued in this transaction, or waiting since an earlier one."""

    ref: Ref
    attempt: int
    number: int
    fence: int = 0
    delay: float = 0
    was: Run = Run.QUEUED


@dataclass(slots=True)
class Ask:
    """A row of the table, and whether its phase or activity has begun and is not closed."""

    id: int
    release: int
    phase: int | None
    run: int | None
    name: str
    state: str
    gives_way: bool
    key: str
    is_alive: bool
    is_running: bool
    """Its release is: what is held waits, and keeps its place."""


_NAME = """
INSERT INTO releases_lock (release_id, root_id, phase_run_id, run_id, name, gives_way, state)
VALUES (%(release)s, %(root)s, %(phase)s, %(run)s, %(name)s, %(gives_way)s, 'free')
ON CONFLICT ({owner}) DO UPDATE SET name = excluded.name WHERE releases_lock.state = 'free'
"""
_ASKS = """
SELECT l.id, l.release_id, l.phase_run_id, l.run_id, l.name, l.state, l.gives_way, coalesce(p.key, run.key),
    r.state IN ('running', 'held') AND CASE WHEN p.id IS NOT NULL THEN p.decided = 'open' AND p.closed_at IS NULL
        ELSE run.state IN ('queued', 'running', 'waiting', 'on_hold', 'interrupted') END, r.state = 'running'
FROM releases_lock l JOIN releases_release r ON r.id = l.release_id
LEFT JOIN releases_phaserun p ON p.id = l.phase_run_id LEFT JOIN releases_activityrun run ON run.id = l.run_id
WHERE l.release_id = ANY(%s) ORDER BY l.id
"""
_PARKED = """
SELECT run.id, run.release_id, run.root_id, run.phase_run_id, run.key, a.id, a.number, a.fence, a.next_at IS NOT NULL
FROM releases_activityrun run JOIN releases_attempt a ON a.run_id = run.id AND a.number = run.attempt_count
WHERE run.release_id = ANY(%s) AND run.state = 'waiting' AND run.code = 'waiting_for_lock' ORDER BY run.release_id, run.position
"""
_ABOVE = """
WITH RECURSIVE up AS (
    SELECT id AS origin, parent_run_id FROM releases_release WHERE id = ANY(%s) AND parent_run_id IS NOT NULL
    UNION ALL
    SELECT up.origin, r.parent_run_id FROM up JOIN releases_activityrun run ON run.id = up.parent_run_id
        JOIN releases_release r ON r.id = run.release_id WHERE r.parent_run_id IS NOT NULL
)
SELECT DISTINCT up.origin, l.name FROM up JOIN releases_activityrun run ON run.id = up.parent_run_id
JOIN releases_lock l ON l.state = 'held' AND (l.run_id = run.id OR l.phase_run_id = run.phase_run_id)
"""
_NOT_ANY_MORE = """
UPDATE releases_activityrun SET code = '', message = CASE WHEN message LIKE 'Waits for the lock %%' THEN '' ELSE message END
WHERE release_id = ANY(%s) AND code = 'waiting_for_lock' AND state <> 'waiting'
"""
_HAND_ON = """
UPDATE releases_lock SET state = 'granted', held_at = greatest(%(at)s, asked_at) WHERE id IN (
    SELECT DISTINCT ON (l.name) l.id FROM releases_lock l JOIN releases_release r ON r.id = l.release_id
    WHERE l.name = ANY(%(names)s) AND l.state = 'waiting' AND r.state = 'running'
        AND NOT EXISTS (SELECT FROM releases_lock other WHERE other.name = l.name AND other.state IN ('granted', 'held'))
    ORDER BY l.name, l.place) RETURNING id
"""
_ASK = """
UPDATE releases_lock SET state = 'waiting', asked_at = %(at)s, held_at = NULL, place = nextval(pg_get_serial_sequence('releases_lock', 'id')) WHERE id = %(id)s
"""
_WAIT = """
UPDATE releases_activityrun SET state = 'waiting', code = %(code)s, message = %(message)s, started_at = coalesce(started_at, %(at)s)
WHERE id = %(run)s AND state = 'queued'
"""
# What it waited for its lock is no part of what it took.
_GO_ON = """
UPDATE releases_activityrun SET state = 'queued', code = '', message = '', started_at = CASE WHEN attempt_count > 1 THEN started_at END
WHERE id = %s AND state = 'waiting'
"""
# Nobody works: what is open under it waits for people.
_ONLY_PEOPLE = """
SELECT {owner} FROM releases_activityrun
WHERE {owner} = ANY(%s) AND state IN ('queued', 'running', 'waiting', 'on_hold', 'interrupted') AND code <> 'waiting_for_lock'
GROUP BY 1 HAVING bool_and(state IN ('on_hold', 'interrupted') OR (state = 'waiting' AND type = 'manual'))
"""


def name_phase(work: Work, release: int, phase_run: int, name: str, *, gives_way: bool) -> None:
    """Remember what a phase asks for, worked out as it opened."""
    params = {"release": release, "root": work.release(release).root, "phase": phase_run, "run": None, "name": name, "gives_way": gives_way}
    work.cursor.execute(_NAME.format(owner="phase_run_id"), params)


def name_run(work: Work, ref: Ref, name: str, *, gives_way: bool) -> None:
    """Remember what an activity asks for, worked out when it was ready."""
    params = {"release": ref.release, "root": ref.root, "phase": None, "run": ref.id, "name": name, "gives_way": gives_way}
    work.cursor.execute(_NAME.format(owner="run_id"), params)


def tend(work: Work, releases: Sequence[int]) -> None:
    """Free what these releases hold and need no more, ask for what their ready runs need, and hand on what is free."""
    gated, work.gated = work.gated, []
    work.cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_ADVISORY,))
    _Tending(work, releases, gated).go()


class _Tending:
    """One round over the locks of some releases of locked trees."""

    def __init__(self, work: Work, releases: Sequence[int], gated: Sequence[Gated]) -> None:
        self.work, self.cursor, self.releases = work, work.cursor, list(releases)
        self.cursor.execute(_ASKS, (self.releases,))
        self.asks = [Ask(*row) for row in self.cursor.fetchall()]
        self.of_phase = {ask.phase: ask for ask in self.asks if ask.phase is not None}
        self.of_run = {ask.run: ask for ask in self.asks if ask.run is not None}
        self.gated = [*self._parked(), *gated] if self.asks else []
        self.above: set[tuple[int, str]] = set()
        if any(work.release(one).parent_run is not None for one in self.releases):
            self.cursor.execute(_ABOVE, (self.releases,))
            self.above = set(self.cursor.fetchall())

    def go(self) -> None:
        self._hand_on(self._free() | {ask.name for ask in self.asks if ask.state == "waiting" and ask.is_running})
        for ask in self.asks:
            if ask.state == "granted":
                self._hold(ask)
        for one in self.gated:
            self._go_on(one)

    def _parked(self) -> list[Gated]:
        self.cursor.execute(_NOT_ANY_MORE, (self.releases,))
        self.cursor.execute(_PARKED, (self.releases,))
        return [Gated(Ref(*place), attempt, number, fence, float(later), Run.WAITING) for *place, attempt, number, fence, later in self.cursor.fetchall()]

    # --- freeing ------------------------------------------------------------------------------------------------------------------

    def _free(self) -> set[str]:
        """Let go of what is over, what gives way and what nobody asks for any more; the names that are nobody's now."""
        over = [ask for ask in self.asks if ask.state != "free" and not ask.is_alive]
        given = self._giving_way([ask for ask in self.asks if ask.state == "held" and ask.is_alive and ask.gives_way])
        wanted = {ask.id for one in self.gated for ask in self._needs(one)}
        # whoever asked was skipped or aborted meanwhile
        idle = [ask for ask in self.asks if ask.state in ("waiting", "granted") and ask.is_alive and ask.id not in wanted]
        # chosen while it was put on hold: back to its place
        back = [ask for ask in self.asks if ask.state == "granted" and ask.is_alive and not ask.is_running and ask.id in wanted]
        names = {ask.name for ask in (*over, *given, *idle, *back) if ask.state in ("held", "granted")}
        self._set([*over, *given, *idle], "free")
        self._set(back, "waiting")
        return names

    def _giving_way(self, asks: Sequence[Ask]) -> list[Ask]:
        """Those under which people are waited for and nothing works."""
        found: list[Ask] = []
        for owner, mine in (("phase_run_id", {ask.phase: ask for ask in asks if ask.phase}), ("id", {ask.run: ask for ask in asks if ask.run})):
            if mine:
                self.cursor.execute(_ONLY_PEOPLE.format(owner=owner), (list(mine),))
                found += [mine[row[0]] for row in self.cursor.fetchall()]
        return found

    def _set(self, asks: Sequence[Ask], state: str) -> None:
        if asks:
            self.cursor.execute("UPDATE releases_lock SET state = %s, held_at = NULL WHERE id = ANY(%s)", (state, [ask.id for ask in asks]))
        for ask in asks:
            if ask.state == "held":
                self.work.say("lock.freed", ask.release, _subject(ask), name=ask.name)
            ask.state = state

    def _hand_on(self, names: Iterable[str]) -> None:
        """Each of these names that nobody holds goes to the first in line whose release runs."""
        wanted = sorted(names)
        if not wanted:
            return
        self.cursor.execute(_HAND_ON, {"names": wanted, "at": self.work.at})
        mine = {ask.id: ask for ask in self.asks}
        for (lock,) in self.cursor.fetchall():
            if lock in mine:
                mine[lock].state = "granted"
            else:
                self.work.rings[doorbell.LOCKS] += 1

    def _hold(self, ask: Ask) -> None:
        self.cursor.execute("UPDATE releases_lock SET state = 'held', held_at = greatest(%s, asked_at) WHERE id = %s", (self.work.at, ask.id))
        ask.state = "held"
        self.work.say("lock.taken", ask.release, _subject(ask), name=ask.name)

    # --- asking -------------------------------------------------------------------------------------------------------------------

    def _needs(self, one: Gated) -> list[Ask]:
        """The rows of what this run needs, in the order in which it asks; not those whose name something around it holds already."""
        found = []
        around = {name for release, name in self.above if release == one.ref.release}
        for kind in self.work.compiled(one.ref.release).steps[one.ref.key].locks:
            ask = self.of_phase.get(one.ref.phase) if kind == "phase" else self.of_run.get(one.ref.id)
            if ask is not None and ask.name not in around:
                found.append(ask)
                around.add(ask.name)
        return found

    def _go_on(self, one: Gated) -> None:
        """Let it start if it has all that it needs; else it waits for the first that it lacks."""
        for ask in self._needs(one):
            if ask.state == "free":
                ring = self._ask(ask)
                if ring:
                    self._fail(one, ask, ring)
                    return
            if ask.state != "held":
                self._wait(one, ask)
                return
        if one.was is Run.WAITING:
            self.cursor.execute("UPDATE releases_attempt SET state = 'queued', message = '' WHERE id = %s AND state = 'waiting'", (one.attempt,))
            self.cursor.execute(_GO_ON, (one.ref.id,))
            self.work.moved(one.ref, Run.WAITING, Run.QUEUED)
        self.work.handed_out(one.ref, self._lane(one), one.delay)

    def _lane(self, one: Gated) -> str:
        self.cursor.execute("SELECT lane FROM releases_attempt WHERE id = %s", (one.attempt,))
        return str(self.cursor.fetchone()[0])

    def _ask(self, ask: Ask) -> list[Ticket]:
        """Take a place in the queue, and the lock if it is free; the ring that waiting for it would close."""
        self.cursor.execute(_ASK, {"at": self.work.at, "id": ask.id})
        ask.state = "waiting"
        self._hand_on([ask.name])
        if ask.state == "granted":
            self._hold(ask)
            return []
        ring = ring_of(self.cursor, ask.id, self.work.release(ask.release).root)
        if ring:
            self._set([ask], "free")
        else:
            self.work.say("lock.asked", ask.release, _subject(ask), name=ask.name)
        return ring

    def _wait(self, one: Gated, ask: Ask) -> None:
        said = f'Waits for the lock "{ask.name}".'
        if one.was is Run.WAITING:  # perhaps for another lock than before
            for table, row in (("attempt", one.attempt), ("activityrun", one.ref.id)):
                self.cursor.execute(f"UPDATE releases_{table} SET message = %s WHERE id = %s AND message <> %s", (said, row, said))  # noqa: S608
            return
        self.cursor.execute("UPDATE releases_attempt SET state = 'waiting', message = %s WHERE id = %s AND state = 'queued'", (said, one.attempt))
        self.cursor.execute(_WAIT, {"at": self.work.at, "code": WAITS_FOR_LOCK, "message": said, "run": one.ref.id})
        # people who were asked before are not asked now
        self.cursor.execute("DELETE FROM releases_runperson WHERE run_id = %s AND role = 'decider'", (one.ref.id,))
        self.work.moved(one.ref, Run.QUEUED, Run.WAITING)

    def _fail(self, one: Gated, ask: Ask, ring: Sequence[Ticket]) -> None:
        said = f'Waiting for the lock "{ask.name}" would close a ring: {" -> ".join(f"{t.name} (release {t.path[0][0]})" for t in ring)} -> {ask.name}.'
        self.work.finish([End(one.attempt, one.ref, Run.FAILED, one.fence, one.was, code="lock_circle", message=said, number=one.number, final=True)])


def _subject(ask: Ask) -> str:
    return f"phase:{ask.key}" if ask.phase is not None else ask.key


# --- rings ------------------------------------------------------------------------------------------------------------------------------

_ACTIVE = """
SELECT l.id, l.name, l.state <> 'waiting', l.place, l.release_id, l.root_id, r.version_id, l.phase_run_id, p.key, run.key
FROM releases_lock l JOIN releases_release r ON r.id = l.release_id
LEFT JOIN releases_phaserun p ON p.id = l.phase_run_id LEFT JOIN releases_activityrun run ON run.id = l.run_id
WHERE l.state <> 'free' AND r.state IN ('running', 'held')
"""
_UP = """
WITH RECURSIVE up AS (
    SELECT id AS origin, parent_run_id, 0 AS depth FROM releases_release WHERE id = ANY(%s)
    UNION ALL
    SELECT up.origin, r.parent_run_id, up.depth + 1 FROM up JOIN releases_activityrun run ON run.id = up.parent_run_id
        JOIN releases_release r ON r.id = run.release_id
)
SELECT up.origin, run.release_id, run.key FROM up JOIN releases_activityrun run ON run.id = up.parent_run_id ORDER BY up.origin, up.depth
"""
_OPEN = """
SELECT phase_run_id, key FROM releases_activityrun
WHERE phase_run_id = ANY(%s) AND state NOT IN ('succeeded', 'skipped', 'ignored', 'failed', 'rejected', 'expired', 'aborted')
"""


def ring_of(cursor: Any, asking: int, root: int) -> list[Ticket]:
    """The ring that this request closes. One goes through another request or holder of the same tree, so mostly one look is enough."""
    cursor.execute("SELECT EXISTS (SELECT FROM releases_lock WHERE root_id = %s AND state <> 'free' AND id <> %s)", (root, asking))
    if not cursor.fetchone()[0]:
        return []
    cursor.execute(_ACTIVE)
    rows = cursor.fetchall()
    cursor.execute(_UP, (list({row[4] for row in rows}),))
    above: dict[int, list[tuple[int, frozenset[str]]]] = {}
    for origin, release, key in cursor.fetchall():
        above.setdefault(origin, []).append((release, frozenset({key})))
    cursor.execute(_OPEN, ([row[7] for row in rows if row[7]],))
    still_open: dict[int, set[str]] = {}
    for phase_run, key in cursor.fetchall():
        still_open.setdefault(phase_run, set()).add(key)
    tickets = []
    for lock, name, holds, place, release, _, version, phase_run, phase, key in rows:
        flow = compiled(version).flow
        inside = {step.id for step in flow.phases[phase].activities} if phase else {key}
        here = frozenset(still_open.get(phase_run, ())) if phase else frozenset({key})
        tickets.append(Ticket(lock, name, holds, place, ((release, here), *above.get(release, ())), flow.upstream_of(inside)))
    mine = next(ticket for ticket in tickets if ticket.id == asking)
    return ring(mine, [ticket for ticket in tickets if ticket.id != asking])


# --- what the doorbell or the sweep found -----------------------------------------------------------------------------------------------

_IN_LINE = """
SELECT DISTINCT l.root_id FROM releases_lock l JOIN releases_release r ON r.id = l.release_id
WHERE l.state = 'granted' OR (l.state = 'waiting' AND r.state = 'running' AND NOT EXISTS (
    SELECT FROM releases_lock other WHERE other.name = l.name AND other.state IN ('granted', 'held'))) LIMIT %s
"""


def trees_in_line(most: int) -> list[int]:
    """Roots of trees that were given a lock and have not taken it up, and of those that wait for a name that nobody holds."""
    with connection.cursor() as cursor:
        cursor.execute(_IN_LINE, (most,))
        return [row[0] for row in cursor.fetchall()]


def take_up(root: int) -> bool:
    """Go on with the locks that this tree was given; whether something of it is to be evaluated now."""
    with engine.locked(root) as work:
        work.cursor.execute("SELECT DISTINCT release_id FROM releases_lock WHERE root_id = %s AND state IN ('granted', 'waiting')", (root,))
        releases = [row[0] for row in work.cursor.fetchall()]
        work.load(releases)
        if releases:
            tend(work, releases)
        return bool(work.stirred)
