"""What goes wrong on the server's side: for callers of the model, and as an answer to a statement."""

from __future__ import annotations


class Down(Exception):
    """The server is not up."""


class BackendEnded(Exception):
    """This session is gone; its work was rolled back and its locks are free."""


class TableLocked(Exception):
    """A stranger holds, or waits for, ACCESS EXCLUSIVE on the table: a statement of a new transaction would wait."""


class Refused(Exception):
    """The answer of a statement that failed.

    Attributes:
        sqlstate: the five-character code.
    """

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
