"""What a process used since its imports were done."""

import json
import resource
import sys
import time
from collections.abc import Callable


def report(work: Callable[[], object]) -> None:
    """Do the work and print its wall and CPU seconds and the process's peak memory in MiB."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak_mib": after.ru_maxrss / unit}))
