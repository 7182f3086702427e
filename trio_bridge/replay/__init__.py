"""Sends the rows of a time range again: a hand tool beside the service, with the service's own decoder and sender.

`moments` reads the range, `pages` the statements, `source` the thread that reads, `run` puts the stages together,
`terminal` shows it. Nothing here touches the checkpoint, the gate or the leader's lock.
"""
