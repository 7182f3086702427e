"""The real Grafana that the environment names, if it does.

    TRIO_BRIDGE_TEST_GRAFANA_URL        its root, e.g. http://127.0.0.1:3000
    TRIO_BRIDGE_TEST_GRAFANA_USER       a user who is an Admin of organisation 1, by Basic authentication
    TRIO_BRIDGE_TEST_GRAFANA_PASSWORD

What stands here is read once, when the tests are collected.
"""

from __future__ import annotations

import os

GIVEN = {
    name: os.environ.get(name, "")
    for name in (
        "TRIO_BRIDGE_TEST_GRAFANA_URL",
        "TRIO_BRIDGE_TEST_GRAFANA_USER",
        "TRIO_BRIDGE_TEST_GRAFANA_PASSWORD",
    )
}
"""What the environment says, by variable; empty: nothing."""
