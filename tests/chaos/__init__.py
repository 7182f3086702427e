"""Chaos: writers that do everything SQL allows, faults at random, and an oracle that compares table and deliveries."""
