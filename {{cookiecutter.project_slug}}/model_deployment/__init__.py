"""Serving and monitoring of the exported model."""
