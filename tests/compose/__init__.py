"""The compose stack: its files by rules, its services as processes."""
