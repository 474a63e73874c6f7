"""An HTTP server on a free loopback port that stops when told, whatever its clients do."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class LoopbackServer(ThreadingHTTPServer):
    """Runs from its making until `close`, a thread for each connection."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, handler: type[BaseHTTPRequestHandler], address: str = "127.0.0.1") -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__((address, 0), handler)
        port = self.server_address[1]
        self.host = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name=f"server {self.host}")
        self._thread.start()

    def close(self) -> None:
        """Close the port and every connection, and wait until all handlers are done."""
        self.shutdown()
        self._thread.join()
        with self._open_lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def opened(self, connection: socket.socket) -> None:
        """Remember a connection, so that it can be closed while its handler waits for a request."""
        with self._open_lock:
            self._open.add(connection)

    def closed(self, connection: socket.socket) -> None:
        """Forget a connection."""
        with self._open_lock:
            self._open.discard(connection)

    def server_bind(self) -> None:
        """Bind without the look-up of a host name that the base class makes."""
        socketserver.TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Handle a connection in a thread."""
        self.opened(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self.closed(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let clients hang up as they like; the test sees what it is about at the other end."""
