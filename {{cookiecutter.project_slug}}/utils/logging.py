"""Structured logs: one JSON object per line on standard error, or plain text on a terminal."""

import json
import logging
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from utils.config import ProjectError

# What every record has; libraries add the message a second time with escape codes.
STANDARD_ATTRIBUTES = frozenset(
    {*vars(logging.makeLogRecord({})), "message", "asctime", "color_message"}
)


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in STANDARD_ATTRIBUTES}


class JsonFormatter(logging.Formatter):
    """Formats a record, with the fields given as ``extra``, as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a JSON object with time (UTC), level, logger, message and fields."""
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """Formats a record for a person: message first, then its fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return ``LEVEL logger: message key=value ...``."""
        fields = " ".join(f"{key}={value}" for key, value in _extra(record).items())
        line = f"{record.levelname.lower():<7} {record.name}: {record.getMessage()} {fields}"
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return line.rstrip()


def configure(level: str = "info", style: str = "") -> None:
    """Send all logs to standard error.

    Args:
        level: the least severe level to show.
        style: ``json`` or ``text``; the environment variable ``LOG_STYLE`` decides when empty,
            and otherwise a terminal gets text and anything else gets JSON.
    """
    default = "text" if sys.stderr.isatty() else "json"
    chosen = style or os.environ.get("LOG_STYLE", default)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextFormatter() if chosen == "text" else JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def run(command: Callable[[], None]) -> None:
    """Run a command of this project; an error a person can act on ends it with exit code 1."""
    configure()
    try:
        command()
    except ProjectError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
