"""What can go wrong, named by whose fault it is; the reaction is decided by type, once, in the supervisor.

    BridgeError
    ├── ConfigError    the operator's: one line, exit code 2, no retry
    ├── SourceError    Postgres': the route restarts from its checkpoint
    ├── SinkError      Grafana's: the route restarts from its checkpoint
    │   └── CredentialsRefused   retried slowly: hammering with a bad token helps nobody
    └── PayloadError   the data's: the row is rejected, counted by reason, logged by key; its neighbours go on

A message says what happened, to which thing, and what to do. It never carries a secret.
"""

from __future__ import annotations

from typing import ClassVar


class BridgeError(Exception):
    """Anything this program reports on purpose."""

    exit_code: ClassVar[int] = 1


class ConfigError(BridgeError):
    """The operator asked for something that cannot work: ends the start with one line."""

    exit_code = 2


class SourceError(BridgeError):
    """Postgres refused, failed or fell silent."""


class SinkError(BridgeError):
    """Grafana refused, failed or fell silent.

    Attributes:
        retry_after_s: how long the other side asked us to wait, in seconds, or None.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class CredentialsRefused(SinkError):
    """Grafana knows us not, or not as an Admin."""


class PayloadError(BridgeError):
    """One row cannot be represented as a line.

    Attributes:
        reason: a short constant for the counter, e.g. ``time_missing``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
