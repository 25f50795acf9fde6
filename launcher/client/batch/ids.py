"""Which requests there are, and which of them have a result.

A table on disk, in a temporary file that SQLite makes and removes: a million names take a few
megabytes of memory, and are compared as they are.
"""

from __future__ import annotations

import sqlite3


class IdTable:
    """The names of all requests of a batch."""

    def __init__(self) -> None:
        self._table = sqlite3.connect("")  # a private file; SQLite keeps what fits its cache
        self._table.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE ids (id BLOB PRIMARY KEY, line INTEGER, done INTEGER) WITHOUT ROWID"
        )

    def add(self, custom_id: str, line: int) -> int:
        """Note a request; return the line of an earlier one with the same name, or 0."""
        added = self._table.execute(
            "INSERT OR IGNORE INTO ids VALUES (?, ?, 0)", (_key(custom_id), line)
        )
        if added.rowcount:
            return 0
        found = self._table.execute("SELECT line FROM ids WHERE id = ?", (_key(custom_id),))
        return int(found.fetchone()[0])

    def finish(self, custom_id: str) -> bool:
        """Note a result; tell whether there is such a request, and had none before."""
        changed = self._table.execute(
            "UPDATE ids SET done = 1 WHERE id = ? AND done = 0", (_key(custom_id),)
        )
        return changed.rowcount == 1

    def is_finished(self, custom_id: str) -> bool | None:
        """Tell whether a request has a result; None where there is no such request."""
        row = self._table.execute("SELECT done FROM ids WHERE id = ?", (_key(custom_id),))
        found = row.fetchone()
        return None if found is None else bool(found[0])

    def close(self) -> None:
        """Remove the table."""
        self._table.close()


def _key(custom_id: str) -> bytes:
    return custom_id.encode("utf-8", "surrogatepass")  # JSON can hold half a character
