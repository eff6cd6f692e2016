"""The Kafka source against librdkafka's own cluster: resuming, kills, dead letters, errors."""

import os
import random
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import trustme
from confluent_kafka import KafkaError, Producer

from data_prep import consume, dead_letters, raw_store, source
from data_prep.formats import SUFFIX
from data_prep.messages import decode
from data_prep.raw_store import Position
from data_prep.sample_source import SAMPLE_FOLDER, cluster, sample_messages
from tests.conftest import BUNDLED, ROOT
from tests.guarded_broker import guarded
from utils.config import ProjectError, load_contract
from utils.files import only_process
from utils.paths import RAW, RAW_LOCK

TOPIC = "records"
KILLS = 5
PATIENCE_SECONDS = 10
SECRET = "s3cret-w0rd"  # noqa: S105 - it must not be found anywhere
FORKER = """
import os, sys
from pathlib import Path
from data_prep.consume import land
from data_prep.source import Settings
from utils.config import load_contract
settings = Settings(sys.argv[1], sys.argv[2], batch_rows=60, tolerated_undecodable_share=0.3)
contract = load_contract(Path(sys.argv[3]))
print("ready", flush=True)
for _ in sys.stdin:
    reader = os.fork()
    if reader == 0:
        land(settings, contract)
        os._exit(0)
    print(reader, flush=True)
    print("killed" if os.waitpid(reader, 0)[1] == 9 else "ended", flush=True)
"""
CONTRACT = load_contract(BUNDLED / "schema.yaml")


class Queue:
    """A running cluster: sends records of the sample and says how to read them."""

    def __init__(self, producer: Producer, servers: str) -> None:
        self.producer = producer
        self.servers = servers

    def settings(self, **changes: object) -> source.Settings:
        """Return settings for this cluster."""
        return source.Settings(
            **{  # type: ignore[arg-type]
                "bootstrap_servers": self.servers,
                "topic": TOPIC,
                "timeout_seconds": 5.0,
                **changes,
            }
        )

    def send(self, values: Sequence[bytes | None], partition: int | None = None) -> None:
        """Send values as they are, to one partition or spread over three."""
        for number, value in enumerate(values):
            place = number % 3 if partition is None else partition
            self.producer.produce(TOPIC, value, partition=place)
        assert self.producer.flush(10) == 0

    def send_records(self, numbers: range, partition: int | None = None) -> None:
        """Send one record of the sample per number."""
        self.send(records(numbers), partition)


@cache
def sample() -> list[bytes]:
    """Return the sample, one message per record, in the format of this project."""
    before = Path.cwd()
    os.chdir(BUNDLED)
    try:
        return sample_messages()
    finally:
        os.chdir(before)


def records(numbers: range) -> list[bytes]:
    """Return some messages of the sample."""
    return [sample()[number] for number in numbers]


def rows(table: pa.Table) -> list[str]:
    """Return the rows of a table as sorted texts."""
    return sorted(str(row) for row in zip(*(c.to_pylist() for c in table.columns), strict=True))


def expected(numbers: range) -> list[str]:
    """Return the rows that messages of the sample must become."""
    return rows(raw_store.normalise(decode(records(numbers), CONTRACT), CONTRACT, "the sample"))


def land(settings: source.Settings) -> int:
    """Add what is new to the raw store; returns the number of rows."""
    return consume.land(settings, CONTRACT)


def landed() -> list[str]:
    """Return the rows of the raw store, sorted."""
    parts = raw_store.parts(RAW)
    return rows(pa.concat_tables([pq.read_table(part) for part in parts])) if parts else []


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    """A cluster of its own for each test, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    # the schemas of the messages, where the format has some
    shutil.copytree(
        BUNDLED / SAMPLE_FOLDER, SAMPLE_FOLDER, ignore=shutil.ignore_patterns(f"*{SUFFIX}")
    )
    with cluster() as (producer, servers):
        yield Queue(producer, servers)


def test_reads_every_partition_once_and_goes_on_from_there(queue: Queue) -> None:
    queue.send_records(range(1000))
    assert land(queue.settings(batch_rows=150)) == 1000
    assert land(queue.settings()) == 0
    queue.send_records(range(1000, 1010))
    assert land(queue.settings()) == 10
    assert landed() == expected(range(1010))


def test_a_batch_is_limited_in_rows_and_its_position_counts_every_partition(queue: Queue) -> None:
    queue.send_records(range(100))
    batches = list(source.batches(queue.settings(batch_rows=40), CONTRACT, None))
    assert [batch.records.num_rows for batch in batches] == [40, 40, 20]
    assert batches[-1].position["offsets"] == {"0": 34, "1": 33, "2": 33, "3": 0}
    assert sum(batches[0].position["offsets"].values()) == 40


def test_reads_only_what_was_there_at_the_start(queue: Queue) -> None:
    queue.send_records(range(20))
    reading = source.batches(queue.settings(batch_rows=10), CONTRACT, None)
    first = next(reading)
    queue.send_records(range(20, 50))
    assert first.records.num_rows + sum(batch.records.num_rows for batch in reading) == 20


def test_a_partition_that_is_new_is_read_from_its_start(queue: Queue) -> None:
    queue.send_records(range(10), partition=0)
    before = land_position(queue)
    del before["offsets"]["3"]
    queue.send_records(range(10, 15), partition=3)
    (batch,) = source.batches(queue.settings(), CONTRACT, before)
    assert batch.records.num_rows == 5


def land_position(queue: Queue) -> Position:
    """Land what there is and return the position."""
    land(queue.settings())
    position = raw_store.position(RAW, CONTRACT, source.describe(queue.settings()))
    assert position is not None
    return position


def test_killed_at_any_moment_it_neither_loses_nor_repeats_a_row(queue: Queue) -> None:
    queue.send_records(range(3000))
    spoilt = [b"\xff\xfe spoilt" for _ in range(12)]
    queue.send(spoilt)
    settings = queue.settings(batch_rows=60, tolerated_undecodable_share=0.3)
    # One process imports everything and forks the readers, so that a kill costs milliseconds.
    forker = subprocess.Popen(
        [sys.executable, "-c", FORKER, queue.servers, TOPIC, str(BUNDLED / "schema.yaml")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert forker.stdin is not None
    assert forker.stdout is not None
    assert forker.stdout.readline() == "ready\n"
    moments = random.Random(20261124)  # noqa: S311
    killed = 0
    with forker, forker.stdin:
        for _ in range(KILLS):
            wanted = len(raw_store.parts(RAW)) + moments.randint(0, 4)
            forker.stdin.write("\n")
            forker.stdin.flush()
            reader = int(forker.stdout.readline())
            deadline = time.monotonic() + PATIENCE_SECONDS
            while len(raw_store.parts(RAW)) < wanted and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(moments.uniform(0, 0.01))
            with suppress(ProcessLookupError):
                os.kill(reader, signal.SIGKILL)
            killed += forker.stdout.readline() == "killed\n"
    assert killed >= KILLS // 2
    assert len(raw_store.parts(RAW)) > 0
    land(settings)
    assert landed() == expected(range(3000))
    letters = dead_letters.read(TOPIC)
    assert len(letters) == len({(letter.partition, letter.offset) for letter in letters}) == 12


def test_what_is_no_record_is_set_aside_with_place_and_reason(queue: Queue) -> None:
    queue.send([*records(range(30)), None, b"\xff\xfe\x00 no record", *records(range(30, 60))], 2)
    assert land(queue.settings()) == 60
    tombstone, spoilt = dead_letters.read(TOPIC)
    assert (tombstone.partition, tombstone.offset, tombstone.value) == (2, 30, None)
    assert "deleted" in tombstone.reason
    assert (spoilt.partition, spoilt.offset) == (2, 31)
    assert spoilt.value == "//4AIG5vIHJlY29yZA=="
    assert spoilt.reason
    assert land(queue.settings()) == 0
    assert len(dead_letters.read(TOPIC)) == 2


def test_messages_at_the_end_that_are_no_records_are_set_aside_once(queue: Queue) -> None:
    queue.send([*records(range(5)), b"\xff\xfe\x00"], 0)
    land(queue.settings())
    queue.send([b"\xff\xfe\x01"], 0)
    assert land(queue.settings()) == 0
    assert land(queue.settings()) == 0
    assert [letter.offset for letter in dead_letters.read(TOPIC)] == [5, 6]


def test_more_undecodable_messages_than_tolerated_end_the_run(queue: Queue) -> None:
    queue.send([*records(range(50)), b"\xff\xfe\x00", b"\xff\xfe\x01"])
    with pytest.raises(ProjectError, match=r"2 of 52 messages .* can't be decoded.*dead_letters"):
        land(queue.settings())
    assert len(dead_letters.read(TOPIC)) == 2
    assert land(queue.settings(tolerated_undecodable_share=0.02)) == 50
    assert len(dead_letters.read(TOPIC)) == 2


def test_a_letter_cut_off_by_a_kill_is_written_again(queue: Queue) -> None:
    queue.send([*records(range(5)), b"\xff\xfe\x00"], 0)
    dead_letters.DEAD_LETTERS.mkdir(parents=True)
    (dead_letters.DEAD_LETTERS / f"{TOPIC}.jsonl").write_bytes(b'{"topic":"records","part')
    land(queue.settings())
    assert [letter.offset for letter in dead_letters.read(TOPIC)] == [5]


def test_a_header_before_each_record_is_skipped(queue: Queue) -> None:
    queue.send([b"\x00\x00\x00\x00\x07" + order for order in records(range(9))])
    assert land(queue.settings(skip_bytes=5)) == 9


def test_messages_deleted_before_they_were_read_stop_the_run_or_are_passed_over() -> None:
    held = {0: source.Partition(low=50, high=90)}
    settings = source.Settings("broker:9092", TOPIC)
    with pytest.raises(ProjectError, match=r"deleted the messages 20 to 49 of partition 0"):
        source.start_offsets(settings, held, {"0": 20})
    accepting = source.Settings("broker:9092", TOPIC, lost_messages="accept")
    assert source.start_offsets(accepting, held, {"0": 20}) == {0: 50}


@pytest.mark.parametrize("reached", [{"0": 91}, {"1": 0}])
def test_a_topic_made_anew_is_noticed(reached: dict[str, int]) -> None:
    held = {0: source.Partition(low=0, high=90)}
    with pytest.raises(ProjectError, match=r"made anew .* Move data/raw"):
        source.start_offsets(source.Settings("broker:9092", TOPIC), held, reached)


def test_offsets_that_vanish_while_reading_are_an_error(queue: Queue) -> None:
    queue.send_records(range(9))
    with source.connect(queue.settings()) as kafka:
        kafka.partitions()
        with pytest.raises(ProjectError, match="deleted messages while they were being read"):
            list(kafka.messages({0: 1000}, {0: 2000}))


def test_another_cluster_needs_an_empty_raw_store(queue: Queue) -> None:
    queue.send_records(range(9))
    position = {**land_position(queue), "cluster": "another"}
    with pytest.raises(ProjectError, match="belongs to another Kafka cluster"):
        list(source.batches(queue.settings(), CONTRACT, position))


def test_a_broker_more_makes_no_other_source() -> None:
    before, after = (source.Settings(servers, TOPIC) for servers in ("a:9092", "a:9092,b:9092"))
    assert source.describe(before) == source.describe(after)


def test_an_unreachable_broker_is_an_error_within_the_timeout() -> None:
    settings = source.Settings("127.0.0.1:1", TOPIC, timeout_seconds=0.5)
    started = time.monotonic()
    with pytest.raises(ProjectError, match=r"did not answer within 0.5 seconds .*127.0.0.1:1"):
        list(source.batches(settings, CONTRACT, None))
    assert time.monotonic() - started < 5


def test_an_unknown_topic_is_an_error(queue: Queue) -> None:
    queue.send_records(range(1))
    with pytest.raises(ProjectError, match=r"Kafka topic nothing at .* does not exist"):
        list(source.batches(queue.settings(topic="nothing"), CONTRACT, None))


def test_an_empty_topic_is_an_error_only_for_the_first_run(queue: Queue) -> None:
    queue.send_records(range(1))
    position = land_position(queue)
    with source.connect(queue.settings()) as kafka:
        _, held = kafka.partitions()
    assert held[3] == source.Partition(0, 0)
    assert list(source.batches(queue.settings(), CONTRACT, position)) == []
    queue.producer.list_topics("empty", timeout=5)
    with pytest.raises(ProjectError, match=r"Kafka topic empty at .* holds no messages"):
        list(source.batches(queue.settings(topic="empty"), CONTRACT, None))


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority that nobody else trusts."""
    return trustme.CA()


@pytest.fixture
def context(authority: trustme.CA, tmp_path: Path) -> ssl.SSLContext:
    """What a broker on this machine shows of itself; the authority is in ``ca.pem``."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(shown)
    return shown


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("security", ["sasl_plaintext", "sasl_ssl"])
def test_records_arrive_after_a_login(
    mechanism: str,
    security: str,
    queue: Queue,
    context: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue.send_records(range(30))
    monkeypatch.setenv("KAFKA_USERNAME", "reader")
    monkeypatch.setenv("KAFKA_PASSWORD", SECRET)
    encrypted = security == "sasl_ssl"
    with guarded(queue.servers, {"reader": SECRET}, context if encrypted else None) as servers:
        settings = queue.settings(
            bootstrap_servers=servers,
            security=security,
            sasl_mechanism=mechanism,
            ca_file="ca.pem" if encrypted else "",
        )
        assert land(settings) == 30
    assert landed() == expected(range(30))


def test_records_arrive_over_an_encrypted_connection(queue: Queue, context: ssl.SSLContext) -> None:
    queue.send_records(range(30))
    with guarded(queue.servers, context=context) as servers:
        settings = queue.settings(bootstrap_servers=servers, security="ssl", ca_file="ca.pem")
        assert land(settings) == 30


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_wrong_password_is_an_error_that_names_its_variable(
    mechanism: str, queue: Queue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("KAFKA_USERNAME", "reader")
    monkeypatch.setenv("KAFKA_PASSWORD", SECRET)
    with guarded(queue.servers, {"reader": "another"}) as servers:
        settings = queue.settings(
            bootstrap_servers=servers,
            security="sasl_plaintext",
            sasl_mechanism=mechanism,
            timeout_seconds=2.0,
        )
        with pytest.raises(ProjectError, match=r"refused the login.*KAFKA_PASSWORD") as caught:
            land(settings)
    assert SECRET not in str(caught.value) + caplog.text


def test_a_broker_that_nobody_vouches_for_is_an_error(
    queue: Queue, context: ssl.SSLContext, tmp_path: Path
) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    with guarded(queue.servers, context=context) as servers:
        for ca_file in ("", "other.pem"):
            settings = queue.settings(
                bootstrap_servers=servers, security="ssl", ca_file=ca_file, timeout_seconds=2.0
            )
            with pytest.raises(ProjectError, match=r"certificate.*source\.ca_file"):
                land(settings)


def test_connections_without_the_encryption_that_the_broker_wants_are_an_error(
    queue: Queue, context: ssl.SSLContext
) -> None:
    with guarded(queue.servers, context=context) as servers:
        settings = queue.settings(bootstrap_servers=servers, timeout_seconds=2.0)
        with pytest.raises(ProjectError, match=r"did not answer.*source\.security"):
            land(settings)


@pytest.mark.parametrize("kind", ["TOPIC_AUTHORIZATION_FAILED", "SASL_AUTHENTICATION_FAILED"])
def test_a_refused_login_names_the_variables_and_no_secret(
    kind: str, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_USERNAME", "reader")
    monkeypatch.setenv("KAFKA_PASSWORD", SECRET)
    with source.connect(queue.settings()) as kafka:
        error = KafkaError(getattr(KafkaError, kind))
        text = str(kafka.problem(error))
    assert "KAFKA_PASSWORD" in text
    assert SECRET not in text


def test_a_login_comes_from_the_environment_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = source.Settings("broker:9092", TOPIC, security="sasl_ssl", ca_file="ca.pem")
    monkeypatch.delenv("KAFKA_USERNAME", raising=False)
    with pytest.raises(ProjectError, match="KAFKA_USERNAME is not set"):
        source.client_settings(settings, "broker:9092")
    monkeypatch.setenv("KAFKA_USERNAME", "reader")
    monkeypatch.setenv("KAFKA_PASSWORD", SECRET)
    chosen = source.client_settings(settings, "broker:9092")
    assert (chosen["sasl.username"], chosen["sasl.password"]) == ("reader", SECRET)
    assert chosen["ssl.ca.location"] == "ca.pem"
    assert SECRET not in source.describe(settings) + repr(settings)
    with pytest.raises(ProjectError, match="refuses the settings") as caught:
        source.Kafka(settings, "broker:9092")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_rows": 0},
        {"batch_seconds": 0},
        {"timeout_seconds": -1},
        {"tolerated_undecodable_share": 2},
        {"skip_bytes": -1},
    ],
)
def test_limits_that_read_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        source.Settings("broker:9092", TOPIC, **wrong)  # type: ignore[arg-type]


def test_consuming_goes_on_until_sigterm_and_keeps_others_out(queue: Queue) -> None:
    queue.send_records(range(20))
    settings = queue.settings(batch_seconds=0.05)
    refused: list[str] = []

    def watch() -> None:
        while len(landed()) < 20:
            time.sleep(0.01)
        queue.send_records(range(20, 30))
        while len(landed()) < 30:
            time.sleep(0.01)
        try:
            with only_process(RAW_LOCK):
                pass
        except ProjectError as error:
            refused.append(str(error))
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        consume.consume(settings, CONTRACT)
    finally:
        signal.signal(signal.SIGTERM, before)
        watcher.join()
    assert landed() == expected(range(30))
    assert "Another process is adding records" in refused[0]
    with only_process(RAW_LOCK):
        pass


def test_records_without_the_contracts_columns_are_set_aside(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.send_records(range(3), 0)
    monkeypatch.setattr(source, "decode", lambda values, _: pa.table({"other": [1] * len(values)}))
    with pytest.raises(ProjectError, match=r"3 of 3 messages .* lacks the column\(s\)"):
        land(queue.settings())
    assert len(dead_letters.read(TOPIC)) == 3


def test_the_sample_has_the_same_offsets_every_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(BUNDLED)
    settings = source.Settings("sample", "anything")
    position = None
    read = 0
    for batch in source.batches(settings, CONTRACT, None):
        position, read = batch.position, read + batch.records.num_rows
    assert read == len(sample_messages()) == sum((position or {})["offsets"].values())
    assert list(source.batches(settings, CONTRACT, position)) == []
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ProjectError, match=r"no .* file to fill the sample cluster"):
        list(source.batches(settings, CONTRACT, None))
