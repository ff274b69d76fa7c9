"""A service that reaches its organization's monthly spend cap when a test says
so, and goes on when it says so: a proxy in front of the harness. The harness's
own cap ends what runs too, and does not end with the month.
"""

import contextlib
import http.client
import http.server
import json
import threading

CAP = json.dumps({
    "type": "error",
    "error": {"type": "rate_limit_error",
              "message":
                  "Your organization has reached its monthly spend limit.",
              "details": {"error_code": "enforced_spend_limit_reached"}},
}).encode()


class Proxy(http.server.BaseHTTPRequestHandler):
    """In front of the harness: refuses new sessions while the cap is on."""

    protocol_version = "HTTP/1.1"
    harness = ""
    cap = threading.Event()
    refused = 0

    def log_message(self, *_):
        pass

    def handle_one(self):
        size = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(size)
        if (Proxy.cap.is_set() and self.command == "POST"
                and self.path.split("?")[0] == "/v1/sessions"):
            Proxy.refused += 1
            self.send_response(429)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(CAP)))
            self.end_headers()
            self.wfile.write(CAP)
            return
        with contextlib.closing(
                http.client.HTTPConnection(Proxy.harness)) as harness:
            headers = {key: value for key, value in self.headers.items()
                       if key.lower() not in ("host", "connection")}
            harness.request(self.command, self.path, body, headers)
            answer = harness.getresponse()
            self.send_response(answer.status)
            for key, value in answer.getheaders():
                if key.lower() not in ("connection", "transfer-encoding",
                                       "content-length"):
                    self.send_header(key, value)
            self.send_header("connection", "close")
            self.end_headers()
            self.close_connection = True
            while piece := answer.read1(65536):
                self.wfile.write(piece)

    do_GET = do_POST = do_DELETE = handle_one


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a client that goes away, or a harness that does


@contextlib.contextmanager
def serve(cluster):
    """Between its workers and its harness."""
    Proxy.harness = f"127.0.0.1:{cluster.harness_port}"
    Proxy.cap.clear()
    Proxy.refused = 0
    server = Server(("127.0.0.1", cluster.proxy_port), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Proxy
    finally:
        server.shutdown()
