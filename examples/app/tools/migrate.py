"""Change the orders table: totals as text become totals in whole cents. With a backup before, a proof after, and a way back.

usage: migrate.py sample  --database FILE [--orders 200] [--fault none|comma]   a table of the old kind, unless there is one
       migrate.py backup  --database FILE --to FILE                             answers: backup, digest, orders, schema
       migrate.py upgrade --database FILE                                       answers: schema, orders
       migrate.py verify  --database FILE --backup FILE                         every order, old against new
       migrate.py restore --database FILE --backup FILE --digest SHA256         answers: schema, orders
`--fault comma` writes one total as `12,50`, as an old till did: SQLite reads that as 12, no error, and only `verify` sees it.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from running import Failed, answer, digest_of, run, say
from shop.money import text
from shop.orders import LATEST, cents, open_read_only, summary

OLD = "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT NOT NULL, total TEXT NOT NULL)"
CHANGE = f"""
BEGIN IMMEDIATE;
CREATE TABLE orders_new (id INTEGER PRIMARY KEY, customer TEXT NOT NULL, total_cents INTEGER NOT NULL CHECK (total_cents >= 0));
INSERT INTO orders_new SELECT id, customer, CAST(round(CAST(total AS REAL) * 100) AS INTEGER) FROM orders;
DROP TABLE orders;
ALTER TABLE orders_new RENAME TO orders;
PRAGMA user_version = {LATEST};
COMMIT;
"""


def connect(file: Path) -> sqlite3.Connection:
    """A connection to a database that must exist. Raises Failed."""
    if not file.exists():
        raise Failed(f"there is no database {file}")
    return sqlite3.connect(file, timeout=10, isolation_level=None)


def counted(file: Path) -> dict[str, object]:
    """Version of the table and number of orders."""
    found = summary(file)
    return {"schema": found["schema"], "orders": found["count"]}


def sample(file: Path, orders: int, fault: str) -> None:
    """Orders of the old kind, always the same ones."""
    if file.exists():
        say(f"{file} is there already")
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    chance = random.Random(7)
    totals = [text(chance.randrange(300, 20_000)) for _ in range(orders)]
    if fault == "comma":
        totals[orders // 2] = "12,50"
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute(OLD)
        connection.executemany("INSERT INTO orders (customer, total) VALUES (?, ?)", [(f"customer-{n % 60}", total) for n, total in enumerate(totals)])
        connection.execute("PRAGMA user_version = 1")
        connection.execute("COMMIT")
    say(f"{orders} orders written to {file}")


def backup(file: Path, to: Path) -> None:
    """A consistent copy while the shop goes on, checked. A backup from before the change is never overwritten with changed orders."""
    if to.exists() and summary(to)["schema"] < counted(file)["schema"]:
        say(f"{to} is from before the change and stays")
    else:
        to.parent.mkdir(parents=True, exist_ok=True)
        part = to.with_name(f".{to.name}.{os.getpid()}")
        with closing(connect(file)) as source, closing(sqlite3.connect(part)) as target:
            source.backup(target)
            if (found := target.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
                raise Failed(f"the backup is damaged: {found}")
        part.replace(to)
        say(f"backup in {to}")
    answer(backup=to, digest=digest_of(to), **counted(to))


def upgrade(file: Path) -> None:
    """All or nothing; nothing when it was done before."""
    with closing(connect(file)) as connection:
        if connection.execute("PRAGMA user_version").fetchone()[0] >= LATEST:
            say("the table is of the new kind already")
        else:
            connection.executescript(CHANGE)
            say("totals are whole cents now")
    answer(**counted(file))


def verify(file: Path, old: Path) -> None:
    """Every order of the backup is there, with the same amount. Raises Failed naming the first that are not."""
    with closing(open_read_only(file)) as now, closing(open_read_only(old)) as before:
        amounts = {key: (who, total) for key, who, total in now.execute("SELECT id, customer, total_cents FROM orders")}
        wrong = []
        for key, who, total in before.execute("SELECT id, customer, total FROM orders"):
            found = amounts.pop(key, None)
            if found != (who, cents(total)):
                wrong.append(f"order {key}: {total!r} became {'nothing' if found is None else text(found[1])}")
    wrong += [f"order {key} was not there before" for key in amounts]
    if wrong:
        raise Failed(f"{len(wrong)} order(s) wrong after the change; " + "; ".join(wrong[:5]))
    say("every order has its amount")


def restore(file: Path, old: Path, digest: str) -> None:
    """Put the backup in the place of the database, in one step."""
    if digest_of(old) != digest:
        raise Failed(f"{old} is not the backup that was made")
    part = file.with_name(f".{file.name}.{os.getpid()}")
    shutil.copyfile(old, part)
    part.replace(file)
    say(f"restored {file} from {old}")
    answer(**counted(file))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["sample", "backup", "upgrade", "verify", "restore"])
    parser.add_argument("--database", type=Path, required=True)
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--fault", choices=["none", "comma"], default="none")
    parser.add_argument("--to", type=Path)
    parser.add_argument("--backup", type=Path)
    parser.add_argument("--digest", default="")
    told = parser.parse_args()
    needed = {"backup": ["to"], "verify": ["backup"], "restore": ["backup", "digest"]}.get(told.step, [])
    if lacking := [name for name in needed if not getattr(told, name)]:
        raise Failed(f"{told.step} needs --{lacking[0]}")
    steps = {
        "sample": lambda: sample(told.database, told.orders, told.fault),
        "backup": lambda: backup(told.database, told.to),
        "upgrade": lambda: upgrade(told.database),
        "verify": lambda: verify(told.database, told.backup),
        "restore": lambda: restore(told.database, told.backup, told.digest),
    }
    steps[told.step]()


if __name__ == "__main__":
    run(main)
