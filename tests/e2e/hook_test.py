#!/usr/bin/env python3
"""What a batch's hooks say reaches a real server, signed as the Standard Webhooks
have it, though the server fails at first and the scheduler is killed between
two tries; and `midwatch run` has sent what it has to say when it ends.

  hook_test.py MIDWATCH
"""

import base64
import hashlib
import hmac
import http.server
import json
import os
import subprocess
import sys
import threading
import time

import cluster as mw

SECRET = os.urandom(32)
FAILS = 2  # tries of a message that the server refuses
DELIVERED_SECONDS = 120  # the third try is due 20 s after the first


class Receiver:
    """Keeps what was POSTed, by webhook-id, and refuses each message `fails`
    times."""

    def __init__(self, fails):
        self.tries = {}
        self.fails = fails
        self.lock = threading.Lock()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                self.send_response(receiver.take(self.headers, body))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def take(self, headers, body):
        with self.lock:
            tries = self.tries.setdefault(headers["webhook-id"], [])
            tries.append((dict(headers.items()), body))
            return 500 if len(tries) <= self.fails else 204

    def count(self):
        with self.lock:
            return sum(map(len, self.tries.values()))


def check_signature(headers, body):
    headers = {name.lower(): value for name, value in headers.items()}
    signed = (f"{headers['webhook-id']}.{headers['webhook-timestamp']}."
              .encode() + body)
    want = "v1," + base64.b64encode(
        hmac.digest(SECRET, signed, hashlib.sha256)).decode()
    if headers["webhook-signature"] != want:
        raise mw.Failure(f"signed {headers['webhook-signature']}, not {want}")
    if abs(time.time() - int(headers["webhook-timestamp"])) > 300:
        raise mw.Failure(f"signed at {headers['webhook-timestamp']}")


def run(binary, folder):
    receiver = Receiver(FAILS)
    cluster = mw.Cluster(binary, folder, workers=1)
    secrets = folder / "hook-secrets.yaml"
    secrets.write_text("secrets:\n  nightly: whsec_"
                       f"{base64.b64encode(SECRET).decode()}\n")
    secrets.chmod(0o600)
    batch_file = folder / "batch.json"
    mw.write_batch(batch_file, "work", {"good": ["echo x > /mnt/session/outputs/out.txt"],
                                        "bad": ["true"]},
                   retry={"max_failures": 1})
    batch = json.loads(batch_file.read_text())
    hook = {"url": receiver.url, "secret": "nightly"}
    batch_file.write_text(json.dumps({**batch, "on_finish": hook,
                                      "on_failure": hook}))
    scheduler = cluster["scheduler"]
    scheduler.add_options("--hook-secrets", secrets)
    try:
        cluster.start_all()
        batch_id = cluster.midwatch("submit", batch_file).strip()
        mw.wait_until(lambda: receiver.count() >= 1, DELIVERED_SECONDS,
                      "a first try")
        scheduler.kill()
        cluster.start("scheduler")
        done = cluster.finish(batch_id, DELIVERED_SECONDS)
        if {hook["event"] for hook in done["hooks"]} != {"on_finish",
                                                         "on_failure"}:
            raise mw.Failure(f"hooks {done['hooks']}")

        def delivered():
            hooks = cluster.batch(batch_id)["hooks"]
            return all(hook["state"] == "delivered" for hook in hooks) and hooks

        hooks = mw.wait_until(delivered, DELIVERED_SECONDS, "both to be taken")
        check(receiver, hooks, batch_id)
        key = base64.b64encode(SECRET).decode()
        for path in folder.rglob("*"):
            if (path.is_file() and path != secrets
                    and any(part in path.read_bytes()
                            for part in (key.encode(), SECRET))):
                raise mw.Failure(f"the secret is in {path}")
    finally:
        cluster.stop_all()


def check(receiver, hooks, batch_id):
    if {hook["webhook_id"] for hook in hooks} != set(receiver.tries):
        raise mw.Failure(f"{set(receiver.tries)} came of {hooks}")
    kinds = set()
    for tries in receiver.tries.values():
        if len(tries) <= FAILS:
            raise mw.Failure(f"{len(tries)} tries")
        if len({body for _, body in tries}) != 1:
            raise mw.Failure("one id with several bodies")
        for headers, body in tries:
            check_signature(headers, body)
        said = json.loads(tries[0][1])
        kinds.add(said["type"])
        if said["data"]["batch_id"] != batch_id:
            raise mw.Failure(f"of another batch: {said}")
        if said["type"] == "batch.finished":
            counts = said["data"]["counts"]
            if (counts["succeeded"], counts["failed"]) != (1, 1):
                raise mw.Failure(f"counts {counts}")
        elif said["data"]["task"]["name"] != "bad":
            raise mw.Failure(f"another task: {said}")
        print(f"{said['type']}: {len(tries)} tries", flush=True)
    if kinds != {"batch.finished", "batch.task_failed"}:
        raise mw.Failure(f"told of {kinds}")


def run_alone(binary, folder):
    """All in one process, which ends once its hooks are delivered."""
    receiver = Receiver(fails=0)
    batch_file = folder / "alone.json"
    mw.write_batch(batch_file, "alone", {
        "good": ["echo x > /mnt/session/outputs/out.txt"]})
    batch = json.loads(batch_file.read_text())
    batch["on_finish"] = {"url": receiver.url}
    batch_file.write_text(json.dumps(batch))
    command = [binary, "--state-dir", folder / "alone", "run", batch_file,
               "--results", folder / "results"]
    refused = subprocess.run(command, capture_output=True, text=True,
                             check=False, timeout=120)
    if refused.returncode != 2 or "--hook-secrets" not in refused.stderr:
        raise mw.Failure(f"without a secret: {refused}")
    subprocess.run(command, check=True, timeout=300, stdout=subprocess.DEVNULL,
                   env={**os.environ, "MIDWATCH_HOOK_SECRET":
                        "whsec_" + base64.b64encode(SECRET).decode()})
    ((tries),) = receiver.tries.values()
    if len(tries) != 1:
        raise mw.Failure(f"{len(tries)} tries")
    check_signature(*tries[0])
    print("run: delivered before it ended", flush=True)


def main():
    with mw.scratch_folder("hook-run") as folder:
        run_alone(sys.argv[1], folder)
    with mw.scratch_folder("hook") as folder:
        run(sys.argv[1], folder)


if __name__ == "__main__":
    main()
