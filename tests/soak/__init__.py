"""Soak: the bridge lives for a long time under steady writers and one fault a minute; its memory must not grow."""
