#!/usr/bin/env python3
"""`midwatch run` with a server of the Messages API as its model: a batch to its
end, and one whose run is killed in the middle of a streamed answer.

  model_test.py MIDWATCH [TEST ...]
"""

import http.server
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

BINARY = None  # of the command line

KEY = "sk-for-the-model"
COMMAND = "echo 42 | tee /mnt/session/outputs/out.txt"


def stream_of(block, deltas, stop_reason):
    """A whole answer of one block, as its events."""
    yield {"type": "message_start", "message": {
        "usage": {"input_tokens": 1000, "output_tokens": 1}}}
    yield {"type": "content_block_start", "index": 0, "content_block": block}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    yield {"type": "message_delta", "delta": {"stop_reason": stop_reason},
           "usage": {"output_tokens": 100}}
    yield {"type": "message_stop"}


class FakeModel(http.server.ThreadingHTTPServer):
    """Calls bash, and answers with what that printed."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = []
        self.paths = []
        self.hang = False  # in the middle of the last answer
        self.hanging = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        length = int(self.headers["content-length"])
        body = json.loads(self.rfile.read(length))
        self.server.requests.append((dict(self.headers), body))
        self.server.paths.append(self.path)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        last = body["messages"][-1]["content"][-1]
        if last["type"] == "tool_result":
            events = stream_of(
                {"type": "text", "text": ""},
                [{"type": "text_delta", "text": "It is "},
                 {"type": "text_delta", "text": last["content"].strip()}],
                "end_turn")
        else:
            events = stream_of(
                {"type": "tool_use", "id": "t", "name": "bash", "input": {}},
                [{"type": "input_json_delta",
                  "partial_json": json.dumps({"command": COMMAND})}],
                "tool_use")
        for event in events:
            self.wfile.write(f"event: {event['type']}\n"
                             f"data: {json.dumps(event)}\n\n".encode())
            self.wfile.flush()
            if (self.server.hang and event["type"] == "content_block_delta"
                    and last["type"] == "tool_result"):
                self.server.hanging.set()
                threading.Event().wait()

    def log_message(self, *_):
        pass


class ModelTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="midwatch-model-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.env = {name: value for name, value in os.environ.items()
                    if not name.startswith(("MIDWATCH", "ANTHROPIC"))}
        self.model = FakeModel()
        self.addCleanup(lambda: (self.model.shutdown(),
                                 self.model.server_close()))
        (self.folder / "key").write_text(KEY + "\n")
        self.file = self.folder / "batch.json"
        self.file.write_text(json.dumps({
            "name": "asked",
            "defaults": {
                "agent": {"name": "a", "model": "claude-haiku-4-5",
                          "tools": [{"type": "agent_toolset_20260401"}]},
                "prompt": "What is it?", "max_cost": 1,
                "expect": {"files": ["out.txt"]}},
            "tasks": [{"name": "one"}]}))
        self.results = self.folder / "results"

    def command(self, *arguments):
        return [str(part) for part in
                (BINARY, "--state-dir", self.folder / "state", "run",
                 self.file, "--results", self.results, *arguments)]

    def run_batch(self, *arguments):
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True,
            check=False, env=self.env, cwd=self.folder, timeout=240)

    def expect_success(self, done, cost_usd_micros):
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        task = json.loads((self.results / "results.jsonl").read_text())
        self.assertEqual(task["state"], "succeeded")
        self.assertEqual(task["result"], "It is 42")
        # The service tells whole cents.
        self.assertEqual(task["charged_usd_micros"], cost_usd_micros)
        out = self.results / "outputs" / "one" / "out.txt"
        self.assertEqual(out.read_text(), "42\n")

    def expect_no_key_anywhere(self):
        for path in (self.folder / "state").rglob("*"):
            if path.is_file():
                self.assertNotIn(KEY.encode(), path.read_bytes(), path)

    def test_asks_by_a_proxy(self):
        # No such host: whoever is asked for it can only be the proxy.
        done = self.run_batch(
            "--model-url", "http://models.invalid",
            "--model-key-file", self.folder / "key",
            "--model-proxy", self.model.url())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(set(self.model.paths),
                         {"http://models.invalid/v1/messages"})

    def test_refuses_a_proxy_that_is_none(self):
        done = self.run_batch(
            "--model-url", self.model.url(),
            "--model-proxy", "socks5://user:secret@localhost")
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertIn("proxy", done.stderr)
        self.assertNotIn("secret", done.stdout + done.stderr)

    def test_a_batch_to_its_end(self):
        done = self.run_batch("--model-url", self.model.url(),
                              "--model-key-file", self.folder / "key")
        # Twice 1,000 tokens in at $1, 100 out at $5 a million: 0.3 cents.
        self.expect_success(done, 0)
        self.assertEqual([headers["x-api-key"]
                          for headers, _ in self.model.requests], [KEY, KEY])
        self.expect_no_key_anywhere()

    def test_the_environment_names_it_too(self):
        self.env.update(ANTHROPIC_BASE_URL=self.model.url(),
                        ANTHROPIC_API_KEY=KEY)
        self.expect_success(self.run_batch(), 0)

    def test_killed_in_the_middle_of_an_answer(self):
        self.model.hang = True
        process = subprocess.Popen(
            self.command("--model-url", self.model.url()), env=self.env,
            cwd=self.folder, stdout=subprocess.DEVNULL)
        self.addCleanup(lambda: (process.kill(), process.wait()))
        self.assertTrue(self.model.hanging.wait(60))
        process.kill()
        process.wait()
        self.model.hang = False
        done = self.run_batch("--model-url", self.model.url())
        self.expect_success(done, 0)
        bodies = [body for _, body in self.model.requests]
        self.assertEqual(len(bodies), 3)
        self.assertEqual(bodies[2], bodies[1])
        self.assertNotIn("x-api-key",
                         {name.lower() for name in self.model.requests[0][0]})

    def test_no_such_model(self):
        done = self.run_batch()
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("--model-url", done.stdout)

    def test_two_services(self):
        done = self.run_batch("--model-url", self.model.url(), "--base-url",
                              "http://127.0.0.1:1")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--model-url", done.stderr)


if __name__ == "__main__":
    BINARY = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main(verbosity=2)
