"""Addresses that alerts go to: a web server on this machine that takes what it is sent, refuses it, or hangs."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "canary5e7Kd90Qx"


class Sink:
    """What it was sent, and how often it was asked; `status` is its answer, `hangs` that it has none."""

    def __init__(self, port):
        self.port, self.status, self.hangs = port, 200, False
        self.titles, self.texts, self.beats = [], [], 0
        self.free = threading.Event()

    @property
    def url(self):
        return f"json://127.0.0.1:{self.port}/{TOKEN}"

    @property
    def heartbeat(self):
        return f"http://127.0.0.1:{self.port}/{TOKEN}/beat"

    def take(self):
        """The texts since this was asked last."""
        taken, self.texts[:] = [*self.texts], []
        return taken


@contextmanager
def open_sink():
    """A sink while the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            # Before the answer, or whoever gets it could ask what came before it is written down.
            if not sink.hangs and sink.status < 400:
                sink.titles.append(said["title"])
                sink.texts.append(said["message"])
            self._answer()

        def do_GET(self):
            if not sink.hangs and sink.status < 400:
                sink.beats += 1
            self._answer()

        def _answer(self):
            if sink.hangs:
                sink.free.wait(30)
                return
            self.send_response(sink.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_said):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sink = Sink(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield sink
    finally:
        sink.free.set()
        server.shutdown()
        server.server_close()
        thread.join()
