import contextlib
import os
import sqlite3
import tempfile

PATH = os.path.join(tempfile.gettempdir(), "ledger.db")

SCHEMA = """
CREATE TABLE account (id TEXT PRIMARY KEY, balance INTEGER NOT NULL CHECK (balance >= 0));
CREATE TABLE entry (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT REFERENCES account(id), target TEXT REFERENCES account(id),
    cents INTEGER NOT NULL, note TEXT
);
CREATE INDEX entry_by_target ON entry(target);
"""


def connect():
    fresh = not os.path.exists(PATH)
    connection = sqlite3.connect(PATH, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    connection.create_function("euro", 1, lambda cents: f"{cents / 100:.2f} €", deterministic=True)
    if fresh:
        connection.executescript(SCHEMA)
        connection.executemany("INSERT INTO account VALUES (?, ?)", [("alice", 10_000), ("bob", 2_500), ("carol", 0)])
    return connection


@contextlib.contextmanager
def transaction(connection):
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def transfer(db, source, target, cents, note=None):
    with transaction(db):
        db.execute("INSERT INTO entry (source, target, cents, note) VALUES (:s, :t, :c, :n)", {"s": source, "t": target, "c": cents, "n": note})
        db.execute("UPDATE account SET balance = balance + ? WHERE id = ?", (cents, target))
        db.execute("UPDATE account SET balance = balance - ? WHERE id = ?", (cents, source))


def lambda_handler(event, context):
    with contextlib.closing(connect()) as db:
        refused = []
        for move in event["transfers"]:
            try:
                transfer(db, **move)
            except sqlite3.IntegrityError as error:
                if event.get("strict"):
                    raise
                refused.append(f"{type(error).__name__}: {error}")
        balances = db.execute("SELECT id, balance, euro(balance) AS shown FROM account ORDER BY balance DESC, id").fetchall()
        entries = db.execute(
            "SELECT target, count(*) AS n, sum(cents) AS total, group_concat(note, '; ') AS notes FROM entry GROUP BY target ORDER BY target"
        )
        ranked = db.execute("SELECT id, rank() OVER (ORDER BY cents DESC) FROM entry").fetchall()
        result = {
            "balances": [dict(row) for row in balances],
            "entries": [tuple(row) for row in entries],
            "ranked": [list(row) for row in ranked],
            "refused": refused,
            "changes": db.total_changes,
        }
    result["bytes"] = os.path.getsize(PATH)
    return result
