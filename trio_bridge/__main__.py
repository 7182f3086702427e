"""``python -m trio_bridge``: the same as the command ``trio-bridge``."""

from trio_bridge.cli import main

main(prog_name="trio-bridge")
