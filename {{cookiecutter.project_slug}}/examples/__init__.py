"""Notebooks that walk through each step on this project's own data."""
