"""Source: a topic of a Kafka message queue, read in micro-batches up to where it ends at the start.

Partitions are assigned by hand and nothing is committed to the broker. The offsets are the
position, which is stored with the records in one atomic step, so a run that is killed at any
moment and started again neither loses nor repeats a message.
"""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, NamedTuple

import msgspec
import pyarrow as pa
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from data_prep.dead_letters import DeadLetter, append, forget
from data_prep.formats import SUFFIX
from data_prep.messages import decode
from data_prep.raw_store import Batch, Position
from data_prep.sample_source import SAMPLE, serve
from utils.config import Contract, ProjectError

log = logging.getLogger(__name__)

FORMAT = SUFFIX.removeprefix(".")
POLL_SECONDS = 0.1
# Below this many messages the tolerated number of undecodable ones no longer shrinks.
SMALL_RUN = 100
DENIED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError._AUTHENTICATION,
}


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Section ``source`` of ``params.yaml``: which topic, how much at once, how to log in."""

    bootstrap_servers: str
    topic: str
    group: str = "data_prep"
    batch_rows: int = 10_000
    batch_seconds: float = 5.0
    timeout_seconds: float = 30.0
    skip_bytes: int = 0
    tolerated_undecodable_share: float = 0.01
    lost_messages: Literal["stop", "accept"] = "stop"
    security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = "plaintext"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username_variable: str = "KAFKA_USERNAME"
    password_variable: str = "KAFKA_PASSWORD"  # noqa: S105 - the name of a variable
    ca_file: str = ""

    def __post_init__(self) -> None:
        """Refuse limits with which no batch could ever be read."""
        if self.batch_rows < 1:
            raise ValueError("batch_rows must be at least 1")
        if self.batch_seconds <= 0 or self.timeout_seconds <= 0:
            raise ValueError("batch_seconds and timeout_seconds must be above 0")
        if not 0 <= self.tolerated_undecodable_share <= 1:
            raise ValueError("tolerated_undecodable_share must lie between 0 and 1")
        if self.skip_bytes < 0:
            raise ValueError("skip_bytes must not be negative")


class Partition(NamedTuple):
    """What one partition held when the run started."""

    low: int
    high: int


def describe(settings: Settings) -> str:
    """Say where the records come from.

    No address is part of it, so that a broker more or less makes no other source.
    """
    sample = " (bundled sample)" if settings.bootstrap_servers == SAMPLE else ""
    return f"Kafka topic {settings.topic}{sample}"


def _place(settings: Settings) -> str:
    return f"Kafka topic {settings.topic} at {settings.bootstrap_servers}"


def _secret(variable: str) -> str:
    value = os.environ.get(variable, "")
    if not value:
        raise ProjectError(
            f"The environment variable {variable} is not set. Kafka asks for a login "
            "(params.yaml: source.security): set it and run again."
        )
    return value


def client_settings(settings: Settings, servers: str) -> dict[str, Any]:
    """Return the configuration of the Kafka client.

    Raises:
        ProjectError: a login is asked for and its environment variables are not set.
    """
    chosen: dict[str, Any] = {
        "bootstrap.servers": servers,
        "security.protocol": settings.security,
        "group.id": settings.group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "allow.auto.create.topics": False,
        "reconnect.backoff.max.ms": 1000,
    }
    if settings.ca_file:
        chosen["ssl.ca.location"] = settings.ca_file
    if settings.security.startswith("sasl"):
        chosen["sasl.mechanism"] = settings.sasl_mechanism
        chosen["sasl.username"] = _secret(settings.username_variable)
        chosen["sasl.password"] = _secret(settings.password_variable)
    return chosen


class Kafka:
    """A connection to one topic whose errors are sentences a person can act on."""

    def __init__(self, settings: Settings, servers: str) -> None:
        self.settings = settings
        self.reported: list[KafkaError] = []
        chosen = client_settings(settings, servers) | {"error_cb": self.reported.append}
        try:
            self.consumer = Consumer(chosen, logger=log)
        except KafkaException as error:
            raise ProjectError(
                f"Kafka refuses the settings in params.yaml: source: {error.args[0].str()}."
            ) from error

    def problem(self, error: KafkaError | None) -> ProjectError:
        """Turn what the client reported into one sentence with what to do."""
        place = _place(self.settings)
        denied = next((e for e in (error, *self.reported) if e and e.code() in DENIED), None)
        if denied:
            return ProjectError(
                f"{place} refused the login or the right to read ({denied.str()}). Check "
                f"source.security, the variables {self.settings.username_variable} and "
                f"{self.settings.password_variable}, and the permissions of that user."
            )
        if error and error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return ProjectError(
                f"{place} does not exist. Check source.topic in params.yaml, or create the topic."
            )
        if error and error.code() in {
            KafkaError._AUTO_OFFSET_RESET,
            KafkaError.OFFSET_OUT_OF_RANGE,
        }:
            return ProjectError(
                f"{place} deleted messages while they were being read ({error.str()}). Run again; "
                "source.lost_messages says what happens to messages that are gone."
            )
        details = "; ".join(dict.fromkeys(e.str() for e in (error, *self.reported[-3:]) if e))
        if any(e.code() == KafkaError._SSL for e in self.reported):
            return ProjectError(
                f"{place} could not be reached by an encrypted connection ({details}). Check "
                "source.security, and that source.ca_file holds the certificate of the authority "
                "that vouches for the broker."
            )
        return ProjectError(
            f"{place} did not answer within {self.settings.timeout_seconds:g} seconds "
            f"({details or 'no message arrived'}). Check that it runs, that this machine reaches "
            "source.bootstrap_servers, and that source.security is what the broker asks for."
        )

    def partitions(self) -> tuple[str, dict[int, Partition]]:
        """Return the identity of the cluster and what each partition holds.

        Raises:
            ProjectError: the cluster can't be reached, or the topic can't be read.
        """
        name, timeout = self.settings.topic, self.settings.timeout_seconds
        try:
            found = self.consumer.list_topics(name, timeout=timeout)
            topic = found.topics[name]
            if topic.error is not None:
                raise self.problem(topic.error)
            held = {
                number: Partition(
                    *self.consumer.get_watermark_offsets(
                        TopicPartition(name, number), timeout=timeout
                    )
                )
                for number in sorted(topic.partitions)
            }
        except KafkaException as error:
            self.consumer.poll(0)  # collects what the client reported in the background
            raise self.problem(error.args[0]) from error
        return str(found.cluster_id or ""), held

    def messages(self, offsets: dict[int, int], ends: dict[int, int]) -> Iterator[list[Message]]:
        """Yield micro-batches of the messages from ``offsets`` up to, not including, ``ends``.

        ``offsets`` is moved on to where the next micro-batch starts, also past marks that hold
        no message, such as the end of a transaction.

        Raises:
            ProjectError: the cluster stops answering, or no longer holds these messages.
        """
        pending = {number for number, end in ends.items() if offsets[number] < end}
        self.consumer.assign(
            [TopicPartition(self.settings.topic, number, offsets[number]) for number in pending]
        )
        batch: list[Message] = []
        started = heard = time.monotonic()
        while pending:
            arrived = self.consumer.consume(self.settings.batch_rows - len(batch), POLL_SECONDS)
            now = time.monotonic()
            if arrived:
                heard = now
            elif now - heard > self.settings.timeout_seconds:
                raise self.problem(None)
            for message in arrived:
                number, offset, error = message.partition(), message.offset(), message.error()
                if number is None or offset is None or number not in pending:
                    continue
                if error is None and offset < ends[number]:
                    batch.append(message)
                    offsets[number] = offset + 1
                elif error is None or error.code() == KafkaError._PARTITION_EOF:
                    offsets[number] = max(offsets[number], min(offset, ends[number]))
                    pending.discard(number)
                elif not error.retriable():
                    raise self.problem(error)
                if offsets[number] >= ends[number]:
                    pending.discard(number)
            full = len(batch) >= self.settings.batch_rows
            if batch and (full or now - started >= self.settings.batch_seconds):
                yield batch
                batch, started, heard = [], time.monotonic(), time.monotonic()
        if batch:
            yield batch


@contextmanager
def connect(settings: Settings) -> Iterator[Kafka]:
    """Open a connection to the topic, or to a cluster in this process that holds the sample."""
    with ExitStack() as stack:
        sample = settings.bootstrap_servers == SAMPLE
        servers = stack.enter_context(serve(settings.topic)) if sample else ""
        kafka = Kafka(settings, servers or settings.bootstrap_servers)
        stack.callback(kafka.consumer.close)
        yield kafka


def start_offsets(
    settings: Settings, held: dict[int, Partition], reached: dict[str, int]
) -> dict[int, int]:
    """Return where each partition is read from.

    Args:
        settings: says what happens when messages are gone.
        held: what each partition of the topic holds now.
        reached: offset of the next message per partition; a partition that is new is not in it.

    Raises:
        ProjectError: the topic was made anew, or lost messages that were not read yet.
    """
    place = _place(settings)
    anew = (
        f"{place} was deleted and made anew since the last run: {{}}. Move data/raw and "
        "data/dead_letters elsewhere, so that the records are read from the start."
    )
    offsets = {number: partition.low for number, partition in held.items()}
    for name, offset in reached.items():
        number = int(name)
        if number not in held:
            raise ProjectError(anew.format(f"it has no partition {number} any more"))
        low, high = held[number]
        if offset > high:
            raise ProjectError(
                anew.format(f"partition {number} ends at {high}, but {offset} were read before")
            )
        if offset < low and settings.lost_messages == "stop":
            raise ProjectError(
                f"{place} deleted the messages {offset} to {low - 1} of partition {number} before "
                "they were read. Keep messages longer on the broker or run more often; to go on "
                "without them, set source.lost_messages in params.yaml to accept."
            )
        if offset < low:
            log.warning(
                "messages were deleted before they were read",
                extra={"partition": number, "first": offset, "last": low - 1},
            )
        offsets[number] = max(offset, low)
    return offsets


def _attempt(values: Sequence[bytes], contract: Contract) -> tuple[pa.Table, str]:
    """Decode values, or say why they are not one record each."""
    nothing = pa.table({})
    if not values:
        return nothing, ""
    try:
        records = decode(values, contract)
    except ProjectError as error:
        return nothing, str(error)
    names = set(records.column_names)
    lacking = {
        column.source_name
        for column in contract.recorded
        if not names & {column.source_name, column.name}
    }
    if lacking:
        return nothing, f"It lacks the column(s) {', '.join(sorted(lacking))}."
    if records.num_rows != len(values):
        return nothing, f"{len(values)} message(s) hold {records.num_rows} records."
    return records, ""


def _undecodable(
    messages: Sequence[Message], values: Sequence[bytes], contract: Contract
) -> Iterator[tuple[Message, str]]:
    """Find the messages that can't be decoded by halving, since most can."""
    reason = _attempt(values, contract)[1]
    if not reason:
        return
    if len(messages) == 1:
        yield messages[0], reason
        return
    half = len(messages) // 2
    yield from _undecodable(messages[:half], values[:half], contract)
    yield from _undecodable(messages[half:], values[half:], contract)


def sort_out(
    messages: Sequence[Message], contract: Contract, skip_bytes: int
) -> tuple[pa.Table, list[DeadLetter], int]:
    """Decode messages into one table and set aside those that are no record.

    A message without a value (Kafka's mark that its key was deleted) is set aside as well, but
    does not count as undecodable.

    Args:
        messages: of any partitions.
        contract: says which columns a record has.
        skip_bytes: length of a header before each record, such as that of a schema registry.

    Returns:
        The records, the dead letters, and how many of these can't be decoded.

    Raises:
        ProjectError: messages that can be decoded one by one don't make one table.
    """
    full = [message for message in messages if message.value() is not None]
    values = [bytes(message.value() or b"")[skip_bytes:] for message in full]
    letters = [
        DeadLetter.of(message, "It has no value: its key was deleted.")
        for message in messages
        if message.value() is None
    ]
    records, reason = _attempt(values, contract)
    if not reason:
        return records, letters, 0
    failed = list(_undecodable(full, values, contract))
    places = {(message.partition(), message.offset()) for message, _ in failed}
    kept = [
        value
        for message, value in zip(full, values, strict=True)
        if (message.partition(), message.offset()) not in places
    ]
    records, reason = _attempt(kept, contract)
    if reason:
        raise ProjectError(reason)
    letters += [DeadLetter.of(message, reason) for message, reason in failed]
    return records, letters, len(failed)


def check_cluster(settings: Settings, cluster: str, position: Position | None) -> None:
    """Check that the position belongs to this cluster: another one has other offsets.

    Raises:
        ProjectError: the records that were read before came from another cluster.
    """
    if position is not None and position["cluster"] != cluster:
        raise ProjectError(
            f"{_place(settings)} belongs to another Kafka cluster than the records in data/raw. "
            "Correct source.bootstrap_servers in params.yaml, or move data/raw and "
            "data/dead_letters elsewhere to start anew."
        )


def batches(settings: Settings, contract: Contract, position: Position | None) -> Iterator[Batch]:
    """Read what the topic holds now, from ``position`` on, in micro-batches.

    Memory holds one micro-batch. Messages that can't be decoded go to ``data/dead_letters``.

    Raises:
        ProjectError: the cluster can't be reached or refuses the login, the topic is unknown or
            empty, messages are gone, or too many messages can't be decoded.
    """
    with connect(settings) as kafka:
        identity, held = kafka.partitions()
        cluster = SAMPLE if settings.bootstrap_servers == SAMPLE else identity
        check_cluster(settings, cluster, position)
        offsets = start_offsets(settings, held, position["offsets"] if position else {})
        forget(settings.topic, offsets)
        waiting = sum(end.high - offsets[number] for number, end in held.items())
        log.info("messages to read", extra={"messages": waiting, "partitions": len(held)})
        if position is None and not waiting:
            raise ProjectError(
                f"{_place(settings)} holds no messages. Send records to it, or check "
                "source.topic in params.yaml."
            )
        read = undecodable = 0
        ends = {number: end.high for number, end in held.items()}
        for messages in kafka.messages(offsets, ends):
            records, letters, failed = sort_out(messages, contract, settings.skip_bytes)
            read, undecodable = read + len(messages), undecodable + failed
            append(settings.topic, letters)
            if undecodable > settings.tolerated_undecodable_share * max(read, SMALL_RUN):
                raise ProjectError(
                    f"{undecodable} of {read} messages of {_place(settings)} can't be decoded, "
                    "more than source.tolerated_undecodable_share allows; the last one: "
                    f"{letters[-1].reason} See data/dead_letters, and compare the messages with "
                    "schema.yaml and the answer to data_format."
                )
            reached = {str(number): offset for number, offset in offsets.items()}
            yield Batch(records, {"cluster": cluster, "offsets": reached})
