"""Third stage: batches of lines into messages on Grafana's push socket, and acknowledgements back.

`stage` is the Trio side; `pace` says when a message may go, `inflight` what is acknowledged, `congestion` how much may
be under way.
"""
