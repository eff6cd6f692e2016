"""Configuration, logging, files and metrics shared by every step."""
