"""Keep landing what arrives in the topic, until stopped with ctrl-c or SIGTERM.

Usage: ``python -m data_prep.consume``. Any end is safe, also SIGKILL: the next start goes on after
the last micro-batch that landed. ``make run`` then finds the records in ``data/raw``.
"""

import logging
import signal
import time
from types import FrameType
from typing import NoReturn

from data_prep import raw_store
from data_prep.source import Settings, batches, describe
from utils.config import Contract, convert, load_contract, load_params
from utils.files import only_process
from utils.logging import run
from utils.paths import RAW, RAW_LOCK

log = logging.getLogger(__name__)


def land(settings: Settings, contract: Contract) -> int:
    """Add what the topic holds now to the raw store; returns the number of rows.

    Raises:
        ProjectError: the topic can't be read.
    """
    source = describe(settings)
    raw_store.recover(RAW)
    arrived = 0
    for batch in batches(settings, contract, raw_store.position(RAW, contract, source)):
        rows = raw_store.append(RAW, batch, contract, source)
        arrived += rows
        log.info("landed", extra={"rows": rows})
    raw_store.finish(RAW)
    return arrived


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def consume(settings: Settings, contract: Contract) -> None:
    """Land messages as they arrive, looking for new ones every ``batch_seconds``, until stopped.

    Raises:
        ProjectError: the topic can't be read, or another process adds to the raw store.
    """
    signal.signal(signal.SIGTERM, _stop)
    with only_process(RAW_LOCK):
        try:
            while True:
                started = time.monotonic()
                land(settings, contract)
                time.sleep(max(0.0, started + settings.batch_seconds - time.monotonic()))
        except KeyboardInterrupt:
            log.info("stopped")


def main() -> None:
    """Land messages with the settings of ``params.yaml``."""
    params, contract = load_params(), load_contract()
    consume(convert(params.source, Settings, "params.yaml: source"), contract)


if __name__ == "__main__":
    run(main)
