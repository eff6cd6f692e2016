"""Load on a service: wrk where it is installed, else a small generator of our own.

Usage of the small one: `python -m benchmarks.load URL BODIES CONNECTIONS SECONDS`.
"""

import asyncio
import json
import shutil
import sys
import time
from itertools import cycle
from pathlib import Path
from statistics import quantiles
from urllib.parse import urlsplit

from benchmarks.measuring import Sample
from benchmarks.places import ROOT, WORKLOADS, call


def generator() -> str:
    """The name of the load generator that will be used."""
    return "wrk" if shutil.which("wrk") else "asyncio"


def put_load(url: str, bodies: Path, connections: int, seconds: int) -> Sample:
    """Post the bodies over and over again on so many connections at once.

    Returns:
        Requests per second, and the median and 99th percentile of the time to an answer in
        milliseconds.

    Raises:
        RuntimeError: A request failed or was answered with an error.
    """
    if generator() == "wrk":
        script = str(WORKLOADS / "load.lua")
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script, url]
        output = call(command, ROOT, {"BODIES": str(bodies)})
    else:
        options = [url, str(bodies), str(connections), str(seconds)]
        output = call([sys.executable, "-m", "benchmarks.load", *options], ROOT)
    outcome = json.loads(output.splitlines()[-1])
    if outcome["failed"]:
        raise RuntimeError(f"{outcome['failed']} requests to {url} failed")
    return {
        "requests_per_second": outcome["requests"] / outcome["seconds"],
        "p50_ms": outcome["p50_ms"],
        "p99_ms": outcome["p99_ms"],
    }


def _message(url: str, body: bytes) -> bytes:
    parts = urlsplit(url)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _answered(reader: asyncio.StreamReader) -> bool:
    """Read one answer; returns whether it is a success."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return head.startswith(b"http/1.1 200")


async def _post(
    url: str, bodies: list[bytes], connections: int, seconds: float
) -> dict[str, float]:
    parts = urlsplit(url)
    messages = cycle([_message(url, body) for body in bodies])
    started = time.perf_counter()
    taken: list[float] = []
    failed = 0

    async def client() -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        while (sent := time.perf_counter()) - started < seconds:
            writer.write(next(messages))
            failed += not await _answered(reader)
            taken.append(time.perf_counter() - sent)
        writer.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    cuts = quantiles(taken, n=100, method="inclusive") if len(taken) > 1 else taken * 99
    return {
        "requests": len(taken),
        "seconds": time.perf_counter() - started,
        "p50_ms": cuts[49] * 1000,
        "p99_ms": cuts[98] * 1000,
        "failed": failed,
    }


def main() -> None:
    """Put load on a service and print the outcome as one line of JSON."""
    url, bodies, connections, seconds = sys.argv[1:]
    lines = Path(bodies).read_bytes().splitlines()
    print(json.dumps(asyncio.run(_post(url, lines, int(connections), float(seconds)))))


if __name__ == "__main__":
    main()
