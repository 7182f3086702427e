"""The bridge as a process under steady load and in long outages: what it costs, holds and delivers."""
