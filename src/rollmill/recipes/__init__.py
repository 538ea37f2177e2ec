"""Configurations that are ready to run."""
