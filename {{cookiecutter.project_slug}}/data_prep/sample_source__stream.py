"""A Kafka cluster inside this process that holds the sample, so that ``make run`` works at once.

The cluster is the one that librdkafka brings for its own tests. It starts empty each time and is
filled in the same order, so every message has the same offset in every run and a second run finds
nothing new. Delete this module, and the two places in ``source.py`` that use it, when
``source.bootstrap_servers`` names a cluster of yours.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Producer

from data_prep.formats import SUFFIX, read
from data_prep.messages import encode
from utils.config import ProjectError, load_contract

SAMPLE = "sample"
SAMPLE_FOLDER = Path("data/source")
PARTITIONS = 3
FLUSH_SECONDS = 60.0


def sample_messages(folder: Path = SAMPLE_FOLDER) -> list[bytes]:
    """Return the records of the sample file, one message each.

    Raises:
        ProjectError: the folder has no sample file.
    """
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    if not paths:
        raise ProjectError(
            f"{folder} holds no {SUFFIX} file to fill the sample cluster with. Restore it, or name "
            "your own Kafka in params.yaml: source.bootstrap_servers."
        )
    contract = load_contract()
    return [message for table in read(paths[0]) for message in encode(table, contract)]


@contextmanager
def cluster() -> Iterator[tuple[Producer, str]]:
    """Run an empty cluster; yields a producer for it and the address for other clients."""
    producer = Producer(
        {
            "bootstrap.servers": "set.by.the.cluster",
            "test.mock.num.brokers": 1,
            "max.in.flight": 1,  # keeps the order, and with it the offsets
            "queue.buffering.max.messages": 1_000_000,
            "log_level": 0,
        }
    )
    brokers = producer.list_topics(timeout=FLUSH_SECONDS).brokers.values()
    yield producer, ",".join(f"{broker.host}:{broker.port}" for broker in brokers)


@contextmanager
def serve(topic: str) -> Iterator[str]:
    """Run a cluster whose ``topic`` holds the sample; yields its address."""
    with cluster() as (producer, servers):
        for number, message in enumerate(sample_messages()):
            producer.produce(topic, message, partition=number % PARTITIONS)
        producer.flush(FLUSH_SECONDS)
        yield servers
