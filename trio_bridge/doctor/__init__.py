"""Walks the chain from the table to the panel, hop by hop, and says which hop is broken and what mends it."""
