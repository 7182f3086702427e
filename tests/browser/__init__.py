"""What Grafana's own front-end code shows after random histories of our messages.

    table ─▶ Outbox + Keyframes ─▶ Live stand-in (lines, frames, channels) ─▶ pages ─▶ StreamingDataFrame (node)
      └────────────────────────── the last N rows by time ◀─ must equal ─────────────────────────┘

``python -m tests.browser --histories 2000`` is the long edition of `tests.browser.test_histories`.
"""
