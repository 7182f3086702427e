"""The model against the real thing: the same random history on both, and what each shows after every step."""
