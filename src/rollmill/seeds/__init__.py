"""Seed sources (what to read) and seed readers (how)."""
