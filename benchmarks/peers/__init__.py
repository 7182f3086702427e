"""What a user would write instead, each a script of its own, as short and as good as the idea allows.

Each reads ``DSN``, ``PUSH_URL`` and ``TOKEN`` from its environment, turns the rows of public.live_metrics into line
protocol and pushes them until it is killed. None of them survives a lost connection, and none knows which rows it has
delivered: what that would take is not in their figures.
"""
