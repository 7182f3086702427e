"""A string that does not show itself: in str, repr, format, logs or a traceback's locals it is ``********``."""

from __future__ import annotations


class Secret:
    """Holds one secret; only `reveal` hands it out, at the place where it is sent."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret itself; never store or log the result."""
        return self._text

    def __repr__(self) -> str:
        return "********"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")
