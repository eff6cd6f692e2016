"""Taking samples side by side, and describing the machine they were taken on."""

import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, TypedDict

Sample = dict[str, float]
PROC_STAT = Path("/proc/stat")


class Case(NamedTuple):
    """One contender in one setting."""

    contender: str
    setting: str
    run: Callable[[], Sample]


class Series(TypedDict):
    """Every sample taken of one case."""

    contender: str
    setting: str
    samples: list[Sample]


class Measurement(TypedDict):
    """All series of one measurement, and what a reader needs to know about it.

    `others` is the number of cores that processes other than the benchmark kept busy meanwhile,
    None where the system does not tell.
    """

    series: list[Series]
    others: float | None
    notes: dict[str, str | float]


class Scale(NamedTuple):
    """How much is measured."""

    rounds: int
    table_rows: tuple[int, ...]
    order_rows: tuple[int, ...]
    train_rounds: int
    load_seconds: int


FULL = Scale(
    rounds=3,
    table_rows=(100_000, 1_000_000),
    order_rows=(100_000, 1_000_000, 5_000_000, 20_000_000),
    train_rounds=1,
    load_seconds=2,
)
QUICK = Scale(
    rounds=1, table_rows=(1_000, 2_000), order_rows=(1_000, 2_000), train_rounds=1, load_seconds=1
)


def _busy_seconds() -> float | None:
    """CPU seconds of all processes since the machine started; None where it is not told."""
    if not PROC_STAT.is_file():
        return None
    fields = PROC_STAT.read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    user, nice, system, _, _, irq, softirq = map(int, fields[:7])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    """CPU seconds of this process and of its children that have ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


class Bystanders:
    """How many cores other processes keep busy from now on."""

    def __init__(self) -> None:
        """Start to count."""
        self._start = time.monotonic(), _busy_seconds(), _own_seconds()

    def cores(self) -> float | None:
        """The mean number of cores; children that still run count as others."""
        started, busy, own = self._start
        now = _busy_seconds()
        if busy is None or now is None:
            return None
        foreign = (now - busy) - (_own_seconds() - own)
        return round(max(0.0, foreign / (time.monotonic() - started)), 2)


def interleaved(cases: Iterable[Case], rounds: int) -> list[Series]:
    """Run every case once a round, so that a disturbance meets all of them alike.

    Every other round goes backwards, so that none always follows the same neighbour.
    """
    listed = list(cases)
    samples: list[list[Sample]] = [[] for _ in listed]
    for turn in range(rounds):
        order = range(len(listed)) if turn % 2 == 0 else reversed(range(len(listed)))
        for position in order:
            case = listed[position]
            print(f"  {case.setting:<28} {case.contender}", flush=True)
            samples[position].append(case.run())
    return [
        Series(contender=case.contender, setting=case.setting, samples=taken)
        for case, taken in zip(listed, samples, strict=True)
    ]


def median(series: Series, metric: str) -> float:
    """The median of one metric over the rounds."""
    return statistics.median(sample[metric] for sample in series["samples"])


def timed(action: Callable[[], object]) -> Sample:
    """The wall-clock seconds of an action."""
    started = time.perf_counter()
    action()
    return {"seconds": time.perf_counter() - started}


def machine() -> dict[str, str | float]:
    """What the measurements ran on."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else (os.cpu_count() or 1),
        "processor": _processor(),
        "memory_gib": round(pages / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def rounded(value: object) -> object:
    """A result with its numbers cut to what can be told apart, to keep the file readable."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return value
