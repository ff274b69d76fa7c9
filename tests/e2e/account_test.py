#!/usr/bin/env python3
"""An account that refuses in the middle of a batch: a key that is revoked, and
a monthly spend cap. Nothing fails, nothing is paid twice, the account says why
it is shut and until when, and all goes on once it works again. And one that a
person pauses.

  account_test.py MIDWATCH
"""

import contextlib
import datetime
import http.client
import http.server
import json
import random
import subprocess
import sys
import threading

import cluster as mw

TASKS = 300
REFUSE_AT = 50
DONE_SECONDS = 200
FEW = 4
PAUSE_SECONDS = 5
CAP = json.dumps({
    "type": "error",
    "error": {"type": "rate_limit_error",
              "message": "Your organization has reached its monthly spend limit.",
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


def submit(cluster, folder, name="refused", tasks=TASKS):
    batch_file = folder / "batch.json"
    prompts = {f"t{number:03}": [
        f"sleep 0.{number % 4}; echo {number} > /mnt/session/outputs/out.txt"]
        for number in range(tasks)}
    mw.write_batch(batch_file, name, prompts)
    return cluster.midwatch("submit", batch_file).strip(), prompts


def account(cluster):
    return json.loads(cluster.midwatch("--output", "json", "account", "list"))


def await_tasks(cluster, batch_id, number):
    mw.wait_until(
        lambda: cluster.batch(batch_id)["counts"]["succeeded"] >= number, 120,
        f"{number} tasks to succeed")


def await_shut(cluster, batch_id, state):
    shut = mw.wait_until(
        lambda: (now := account(cluster))["state"] == state and now, 60,
        f"the account to be {state}")
    trouble = cluster.batch(batch_id)["account_trouble"]
    if not trouble or trouble["state"] != state or not trouble["reason"]:
        raise mw.Failure(f"the batch says of its account: {trouble}")
    return shut


def check_all_well(cluster, batch_id, prompts):
    cluster.finish(batch_id, DONE_SECONDS)
    tasks = cluster.check([batch_id], prompts)
    states = {task["state"] for task in tasks}
    if states != {"succeeded"} or any(task["failures"] for task in tasks):
        raise mw.Failure(f"tasks ended {states}, or with failures")
    if account(cluster)["state"] != "open":
        raise mw.Failure(f"the account is {account(cluster)}")


@contextlib.contextmanager
def watching(cluster, batch_id):
    """`batch watch`, whose output is checked for the pause at the end."""
    command = [cluster.binary, "--server", cluster.server, "--state-dir",
               cluster.folder / "client", "batch", "watch", batch_id]
    with (cluster.folder / "watch").open("wb") as out:
        watch = subprocess.Popen([str(part) for part in command], stdout=out,
                                 stderr=out, stdin=subprocess.DEVNULL)
        try:
            yield
            watch.wait(60)
        finally:
            watch.kill()
            watch.wait()


def check_watch(cluster, words):
    said = (cluster.folder / "watch").read_text(errors="replace")
    for word in (*words, "account default is open again"):
        if word not in said:
            raise mw.Failure(f"`batch watch` did not say {word!r}:\n{said}")


def pause(binary, folder):
    """A person shuts the account: for a while, and until they open it."""
    cluster = mw.Cluster(binary, folder)
    try:
        cluster.start_all()
        until = (datetime.datetime.now(datetime.timezone.utc)
                 + datetime.timedelta(seconds=PAUSE_SECONDS))
        cluster.midwatch("account", "pause", "default", "--reason", "moving",
                         "--until", until.strftime("%Y-%m-%dT%H:%M:%SZ"))
        first, _ = submit(cluster, folder, "for-a-while", FEW)
        shut = await_shut(cluster, first, "paused")
        if shut["reason"] != "moving" or not shut["until"]:
            raise mw.Failure(f"paused for a while, but {shut}")
        cluster.finish(first, 60)
        cluster.midwatch("account", "pause", "default", "--reason", "new key")
        second, prompts = submit(cluster, folder, "for-good", FEW)
        await_shut(cluster, second, "paused")
        # Another life of the scheduler knows it too.
        cluster["scheduler"].kill()
        cluster.start("scheduler")
        await_shut(cluster, second, "paused")
        counts = cluster.batch(second)["counts"]
        if counts["queued"] != FEW:
            raise mw.Failure(f"paused, and {counts}")
        cluster.midwatch("account", "resume", "default")
        cluster.finish(second, 60)
        sessions = mw.read_harness(cluster.harness_db,
                                   "SELECT count(*) FROM session")[0][0]
        if sessions != 2 * FEW:
            raise mw.Failure(f"{sessions} sessions for {2 * FEW} tasks")
        print("account_test: paused until a time, and until resumed",
              flush=True)
    finally:
        cluster.stop_all()


def revoke(binary, folder):
    cluster = mw.Cluster(binary, folder)
    key = folder / "api-key"
    try:
        cluster.start_all()
        batch_id, prompts = submit(cluster, folder)
        with watching(cluster, batch_id):
            await_tasks(cluster, batch_id, REFUSE_AT)
            cluster["harness"].kill()
            key.write_text(random.SystemRandom().randbytes(16).hex() + "\n")
            cluster.start("harness")
            shut = await_shut(cluster, batch_id, "refused")
            done = cluster.batch(batch_id)["counts"]
            print(f"account_test: revoked: {shut['reason']} at "
                  f"{done['succeeded']} done, {done['failed']} failed",
                  flush=True)
            for name in ("worker-1", "worker-2"):  # they read the key anew
                cluster[name].kill()
                cluster.start(name)
            check_all_well(cluster, batch_id, prompts)
        check_watch(cluster, ["account default is refused: "])
    finally:
        cluster.stop_all()


def spend_cap(binary, folder):
    cluster = mw.Cluster(binary, folder, proxy_port=mw.free_port())
    Proxy.harness = f"127.0.0.1:{cluster.harness_port}"
    Proxy.cap.clear()
    server = Server(("127.0.0.1", cluster.proxy_port), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        cluster.start_all()
        batch_id, prompts = submit(cluster, folder)
        with watching(cluster, batch_id):
            await_tasks(cluster, batch_id, REFUSE_AT)
            Proxy.cap.set()
            shut = await_shut(cluster, batch_id, "at its spend cap")
            today = datetime.datetime.now(datetime.timezone.utc)
            month = (today.replace(day=1) + datetime.timedelta(days=32))
            if not shut["until"].startswith(f"{month:%Y-%m}-01T00:00:00"):
                raise mw.Failure(f"the cap ends with the month, not {shut}")
            # A probe is asked for, and is refused: all stays as it is.
            before = Proxy.refused
            cluster.midwatch("account", "resume", "default")
            mw.wait_until(lambda: Proxy.refused > before, 60, "a probe")
            if account(cluster)["state"] != "at its spend cap":
                raise mw.Failure("a refused probe opened the account")
            print(f"account_test: capped until {shut['until']}, "
                  f"{Proxy.refused} creates refused", flush=True)
            Proxy.cap.clear()
            cluster.midwatch("account", "resume", "default")
            check_all_well(cluster, batch_id, prompts)
        check_watch(cluster, ["account default is at its spend cap: "])
    finally:
        cluster.stop_all()
        server.shutdown()


def main():
    for case in (pause, revoke, spend_cap):
        with mw.scratch_folder("account") as folder:
            case(sys.argv[1], folder)


if __name__ == "__main__":
    main()
