"""What a security review asks, answered by tests: secrets, rights, names, forgery, and whatever bytes strangers send.

``docs/security.md`` says which attacker each of them stands against. ``python -m tests.security.fuzz`` is the long
edition of the fuzzing.
"""
