"""Advisory locks of sessions: two modes, counted, tried and never waited for, gone with their session."""

from __future__ import annotations

Key = tuple[int, int]
"""Class and object, as int4."""


class AdvisoryLocks:
    """Who holds what. A session never stands in its own way."""

    def __init__(self) -> None:
        self._held: dict[Key, dict[int, list[int]]] = {}

    def try_lock(self, key: Key, pid: int, *, shared: bool = False) -> bool:
        """``pg_try_advisory_lock`` or its ``_shared`` twin."""
        holders = self._held.get(key)
        if holders is None:
            holders = self._held[key] = {}
        for other, (exclusive, _) in holders.items():
            if other != pid and (exclusive or not shared):
                return False
        holders.setdefault(pid, [0, 0])[shared] += 1
        return True

    def may_share(self, key: Key, pid: int) -> bool:
        """Whether trying it shared and freeing it at once would succeed."""
        return all(other == pid or not exclusive for other, (exclusive, _) in self._held.get(key, {}).items())

    def unlock(self, key: Key, pid: int, *, shared: bool = False) -> bool:
        """``pg_advisory_unlock`` or its ``_shared`` twin; False: it was not held so."""
        counts = self._held.get(key, {}).get(pid)
        if counts is None or not counts[shared]:
            return False
        counts[shared] -= 1
        if not any(counts):
            del self._held[key][pid]
        return True

    def free(self, pid: int) -> None:
        """All of one session."""
        for holders in self._held.values():
            holders.pop(pid, None)

    def holders(self, key: Key) -> list[int]:
        """As ``pg_locks`` has them: a line for each session and mode."""
        return [pid for pid, counts in self._held.get(key, {}).items() for count in counts if count]
