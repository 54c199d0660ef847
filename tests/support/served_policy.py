"""A server on loopback with one file: the policy of a company."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler

from tests.support.loopback_server import LoopbackServer


class Served:
    """A server with one file, which counts its requests."""

    def __init__(self) -> None:
        self.body = b""
        self.requests = 0
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served.requests += 1
                self.send_response(200 if served.body else 404)
                self.send_header("content-length", str(len(served.body)))
                self.end_headers()
                self.wfile.write(served.body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = LoopbackServer(Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/policy.toml"

    def source(self) -> str:
        """Return the key of a policy that extends the file."""
        return f'extends = {{url = "{self.url}", sha256 = "{hashlib.sha256(self.body).hexdigest()}"}}\n'

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
