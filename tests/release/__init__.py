"""What is handed out, and what must hold of it: see `check`."""
