"""Schema files that files of this format need beside them in tests: none."""

FILES: dict[str, str] = {}
