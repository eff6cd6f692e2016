"""Messages that did not become records: one JSON line each, with the reason and the content.

The file follows the position of the raw records: before a run, what lies beyond the position is
forgotten, because the run reads those messages again. So a run that was killed leaves none twice.
"""

import base64
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
from confluent_kafka import Message

from utils.files import atomic_path

DEAD_LETTERS = Path("data/dead_letters")


class DeadLetter(msgspec.Struct, frozen=True):
    """One message that was set aside; key and value are base64, null where there is none."""

    topic: str
    partition: int
    offset: int
    reason: str
    key: str | None = None
    value: str | None = None

    @classmethod
    def of(cls, message: Message, reason: str) -> "DeadLetter":
        """Describe ``message``."""
        return cls(
            topic=message.topic() or "",
            partition=message.partition() or 0,
            offset=message.offset() or 0,
            reason=reason,
            key=_text(message.key()),
            value=_text(message.value()),
        )


def _text(content: bytes | str | None) -> str | None:
    if content is None:
        return None
    raw = content.encode() if isinstance(content, str) else bytes(content)
    return base64.b64encode(raw).decode()


def _path(topic: str) -> Path:
    return DEAD_LETTERS / f"{topic}.jsonl"


def read(topic: str) -> list[DeadLetter]:
    """Return the dead letters of a topic; a line that was cut off by a kill is left out."""
    if not _path(topic).exists():
        return []
    whole = _path(topic).read_bytes().split(b"\n")[:-1]
    return [msgspec.json.decode(line, type=DeadLetter) for line in whole]


def append(topic: str, letters: Iterable[DeadLetter]) -> None:
    """Add letters to the file of the topic and wait until they are on disk."""
    lines = b"".join(msgspec.json.encode(letter) + b"\n" for letter in letters)
    if not lines:
        return
    DEAD_LETTERS.mkdir(parents=True, exist_ok=True)
    with _path(topic).open("ab") as stream:
        stream.write(lines)
        stream.flush()
        os.fsync(stream.fileno())


def forget(topic: str, offsets: Mapping[int, int]) -> None:
    """Remove the letters of messages that will be read again.

    Args:
        topic: name of the topic.
        offsets: where reading goes on, per partition.
    """
    if not _path(topic).exists():
        return
    kept = [letter for letter in read(topic) if letter.offset < offsets.get(letter.partition, 0)]
    with atomic_path(_path(topic)) as temporary:
        temporary.write_bytes(b"".join(msgspec.json.encode(letter) + b"\n" for letter in kept))
