"""The page about the faults says what the tests do, and no fault is left out."""

from __future__ import annotations

import subprocess
import sys

from tests.faults import figures


def test_every_fault_is_tested_or_explained_and_the_page_says_so() -> None:
    """Each fault of the matrix has a test or a reason, and ``docs/faults.md`` tells both as they are."""
    # In a process of its own: pytest does not run inside pytest.
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_figures_read_as_a_person_would_say_them() -> None:
    """A figure's unit stands at the end of its name, and large numbers are readable."""
    assert figures.text({"detection_s": 0.0213, "duplicates": 117, "rows": 1234567.0}) == (
        "detection 0.0213 s, duplicates 117, 1,234,567 rows"
    )
