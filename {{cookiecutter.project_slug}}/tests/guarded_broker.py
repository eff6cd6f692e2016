"""A broker that asks for encryption and a login, in front of librdkafka's own, which can't.

Connections are decrypted and requests passed on. What the broker behind lacks is answered here:
its list of requests gains those of a login, and the login itself is checked. Requests and answers
are those of the Kafka protocol, https://kafka.apache.org/protocol.
"""

import socketserver
import ssl
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from socket import create_connection, socket
from typing import Any

from scramp import ScramException, ScramMechanism

API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE = 18, 17, 36
UNSUPPORTED_VERSION, UNSUPPORTED_MECHANISM, AUTHENTICATION_FAILED = 35, 33, 58
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
# API key, lowest and highest version.
LOGIN_REQUESTS = struct.pack(">hhhhhh", SASL_HANDSHAKE, 0, 1, SASL_AUTHENTICATE, 0, 0)


def _exactly(connection: socket, count: int) -> bytes:
    parts = []
    while count:
        part = connection.recv(count)
        if not part:
            raise ConnectionError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _receive(connection: socket) -> bytes:
    (length,) = struct.unpack(">i", _exactly(connection, 4))
    return _exactly(connection, length)


def _send(connection: socket, message: bytes) -> None:
    connection.sendall(struct.pack(">i", len(message)) + message)


def _text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


class Login:
    """The login of one connection: ``answer`` takes what the client says and answers it."""

    def __init__(self, mechanism: str, users: Mapping[str, str]) -> None:
        self.passed = False
        self.mechanism = mechanism
        self.users = users
        self.scram: Any = None

    def answer(self, said: bytes) -> bytes:
        """Return the next answer.

        Raises:
            PermissionError: the user or the password is wrong.
        """
        if self.mechanism == "PLAIN":
            _, user, password = said.decode().split("\0")
            if self.users.get(user) != password:
                raise PermissionError
            self.passed = True
            return b""
        try:
            if self.scram is None:
                mechanism = ScramMechanism(self.mechanism)
                known = {
                    name: mechanism.make_auth_info(password)
                    for name, password in self.users.items()
                }
                self.scram = mechanism.make_server(known.__getitem__)
                self.scram.set_client_first(said.decode())
                return str(self.scram.get_server_first()).encode()
            self.scram.set_client_final(said.decode())
        except (ScramException, KeyError) as error:
            raise PermissionError from error
        self.passed = True
        return str(self.scram.get_server_final()).encode()


class Guard(socketserver.ThreadingTCPServer):
    """Accepts connections, each in a thread of its own."""

    daemon_threads = True

    def __init__(
        self, behind: int, users: Mapping[str, str] | None, context: ssl.SSLContext | None
    ) -> None:
        super().__init__(("127.0.0.1", 0), Visit)
        self.behind = behind
        self.users = users
        self.context = context
        self.port = int(self.server_address[1])


class Visit(socketserver.BaseRequestHandler):
    """One connection of a client."""

    server: Guard

    def handle(self) -> None:
        """Answer until the client leaves, sends what is no request, or fails to log in."""
        with suppress(OSError):
            client = self.request
            if self.server.context:
                client = self.server.context.wrap_socket(client, server_side=True)
            with client, create_connection(("127.0.0.1", self.server.behind)) as broker:
                self.relay(client, broker)

    def relay(self, client: socket, broker: socket) -> None:
        """Pass on requests of those who may, and answer those that belong to a login."""
        login = None if self.server.users is None else Login("", self.server.users)
        while True:
            request = _receive(client)
            key, version, correlation = struct.unpack(">hhi", request[:8])
            (name,) = struct.unpack(">h", request[8:10])
            said = request[10 + max(name, 0) :]
            known = struct.pack(">i", correlation)
            if login and key == API_VERSIONS and version:
                _send(client, known + struct.pack(">hi", UNSUPPORTED_VERSION, 0))
            elif login and key == API_VERSIONS:
                _send(broker, request)
                answer = _receive(broker)
                count = struct.unpack(">i", answer[6:10])[0] + 2
                _send(client, answer[:6] + struct.pack(">i", count) + answer[10:] + LOGIN_REQUESTS)
            elif login and key == SASL_HANDSHAKE:
                login.mechanism = said[2:].decode()
                error = 0 if login.mechanism in MECHANISMS else UNSUPPORTED_MECHANISM
                offered = b"".join(map(_text, MECHANISMS))
                _send(client, known + struct.pack(">hi", error, len(MECHANISMS)) + offered)
            elif login and key == SASL_AUTHENTICATE:
                try:
                    text = login.answer(said[4:])
                except PermissionError:
                    refused = struct.pack(">h", AUTHENTICATION_FAILED) + _text("Wrong password")
                    _send(client, known + refused + struct.pack(">i", 0))
                    return
                _send(client, known + struct.pack(">hhi", 0, -1, len(text)) + text)
            elif login and not login.passed:
                return
            else:
                _send(broker, request)
                _send(client, self.readdressed(_receive(broker)))

    def readdressed(self, answer: bytes) -> bytes:
        """Return an answer that names this server where it named the one behind it."""
        address = b"127.0.0.1" + struct.pack(">i", self.server.behind)
        return answer.replace(address, b"127.0.0.1" + struct.pack(">i", self.server.port))


@contextmanager
def guarded(
    servers: str,
    users: Mapping[str, str] | None = None,
    context: ssl.SSLContext | None = None,
) -> Iterator[str]:
    """Run a broker that guards another; yields its address.

    Args:
        servers: address of the broker behind it, of which there is one.
        users: password by name, None if no login is asked for.
        context: certificate and key, None for connections without encryption.
    """
    with Guard(int(servers.rpartition(":")[2]), users, context) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"127.0.0.1:{server.port}"
        finally:
            server.shutdown()
            thread.join()
