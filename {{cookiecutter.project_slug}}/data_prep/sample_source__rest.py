"""A stand-in for a service: the bundled sample over HTTP, from a server inside this process.

It serves while ``source.url`` of ``params.yaml`` is ``sample``. A project with a service of its own
can delete this module, what only it imports, and the lines of ``source.py`` that name it.
"""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pyarrow as pa

from data_prep import formats
from data_prep.writing import write
from utils.config import ProjectError, load_contract

NAME = "sample"
FOLDER = Path("data/source")
PAGE_ROWS = 2000
PARAMETER = "since"


def records() -> pa.Table:
    """Return the bundled sample."""
    paths = sorted(FOLDER.glob(f"*{formats.SUFFIX}"))
    if not paths:
        raise ProjectError(f"{FOLDER} holds no sample *{formats.SUFFIX}. Set source.url instead.")
    with paths[0].open("rb") as stream:
        return pa.concat_tables(formats.read(stream, paths[0].as_posix()))


def encoded(table: pa.Table) -> bytes:
    """Return records as the body of an answer."""
    stream = io.BytesIO()
    write(table, stream)
    return stream.getvalue()


@contextmanager
def reachable(url: str) -> Iterator[str]:
    """Yield the address to ask: ``url`` itself, or that of the stand-in if it is ``sample``."""
    if url != NAME:
        yield url
        return
    columns = load_contract().with_role("timestamp")
    table = records()
    moments = (
        [_moment(value) for value in table[columns[0].source_name].to_pylist()] if columns else []
    )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = dict(parse_qsl(urlsplit(self.path).query))
            number = int(query.pop("page", 0))
            chosen = table
            if PARAMETER in query:
                start = _moment(query[PARAMETER])
                chosen = table.filter(pa.array([moment >= start for moment in moments]))
            body = encoded(chosen.slice(number * PAGE_ROWS, PAGE_ROWS))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            if (number + 1) * PAGE_ROWS < chosen.num_rows:
                target = urlencode({**query, "page": number + 1})
                self.send_header("Link", f'</records?{target}>; rel="next"')
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/records"
        finally:
            server.shutdown()
            thread.join()


def _moment(value: object) -> datetime:
    """Return a moment for comparing; what is none counts as the oldest."""
    oldest = datetime.min.replace(tzinfo=UTC)
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        return oldest
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
