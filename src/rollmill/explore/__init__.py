"""Rollouts for people: found by name, shown as text or as one page, with nothing in them that a terminal or browser
would obey."""
