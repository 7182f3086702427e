"""The fault matrix: every fault that the bridge must survive, and the tests that make it happen.

`groups` names the faults; a test anywhere below ``tests`` says with ``@pytest.mark.fault(14)`` which it makes happen,
and with the fixture `figures` what it measured. ``python -m tests.faults`` writes ``docs/faults.md`` from all of that.
Shared by the tests: `proxy` (a breakable TCP proxy) and `tests.chaos.bridges` (the bridge as a process).
"""
