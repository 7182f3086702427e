"""Says aloud whether a real Grafana was asked."""

from __future__ import annotations

import pytest

from tests.contract.given import GIVEN


def test_a_real_grafana_is_given_whole_or_not_at_all() -> None:
    """Without any of the variables only the stand-in is tested, and the report says so; some of them are a mistake."""
    if not any(GIVEN.values()):
        pytest.skip(f"the contract was NOT tested against a real Grafana: set {', '.join(GIVEN)}")
    assert all(GIVEN.values()), f"set {', '.join(name for name, value in GIVEN.items() if not value)} as well"
