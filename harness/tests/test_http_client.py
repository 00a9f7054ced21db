"""The client with which the harness asks: nothing of it outlasts a request."""

from __future__ import annotations

import socket
import threading

from harness.topologies import http


def test_it_says_that_no_connection_stays_to_a_server_that_would_keep_one() -> None:
    said: list[bytes] = []

    def serve() -> None:
        for _ in range(2):
            connection, _address = listener.accept()
            with connection:
                connection.settimeout(10)
                said.append(connection.recv(65536).lower())
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                said.append(connection.recv(1))  # b"" is the end, which comes from the other side

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        server = threading.Thread(target=serve)
        server.start()
        for _ in range(2):
            assert http.client().get(f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout=10).is_success
        server.join()

    first, its_end, second, end_of_that = said
    assert b"\r\nconnection: close\r\n" in first
    assert b"\r\nconnection: close\r\n" in second
    assert (its_end, end_of_that) == (b"", b"")
