"""Plots and the dashboard."""
