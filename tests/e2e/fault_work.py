"""What the fault points are struck beside: tasks of every kind, who answers and
cancels them, and what must have become of each in the end.
"""

import contextlib
import dataclasses
import hashlib
import http.server
import json
import stat
import threading

import cluster as mw

CENT = 10_000
OUT = "/mnt/session/outputs/out.txt"
INPUT = "what is given\n"
TOOLSET = {"type": "agent_toolset_20260401"}
ASKING = {**TOOLSET,
          "default_config": {"permission_policy": {"type": "always_ask"}}}
CUSTOM = {"type": "custom", "description": "Looks up.",
          "input_schema": {"type": "object"}}
QUIET = {"name": "quiet", "model": "runbook", "tools": [TOOLSET]}
ASKS = {"name": "asks", "model": "runbook",
        "tools": [ASKING, {**CUSTOM, "name": "lookup"},
                  {**CUSTOM, "name": "handled"}]}
LOADED = {"name": "loaded", "model": "claude-haiku-4-5", "tools": [TOOLSET]}


def sh(command):
    return f"```sh\n{command}\n```"


def call(tool):
    return f"```tool {tool}\n{{\"key\": \"{{{{name}}}}\"}}\n```"


@dataclasses.dataclass(frozen=True)
class Kind:
    """Tasks that are alike, and their batch."""
    prompt: str  # {{name}}: the task's
    tasks: int = 1
    more: str = ""  # {{more}}
    spec: dict = dataclasses.field(default_factory=dict)
    account: str = "default"
    inputs: bool = False
    answer: tuple = ()  # the options of `task answer`
    cancel: str = ""  # "task": once its tool runs; "batch": once it is there
    state: str = "succeeded"
    failures: int = 0
    cents: int = 2
    says: str = ""  # its last message, or the reason
    output: str = ""  # of out.txt


KINDS = {
    "plain": Kind(sh(f"sleep 0.2; echo {{{{name}}}} > {OUT}"), tasks=4,
                  spec={"expect": {"files": ["out.txt"]}}, output="{name}\n"),
    "slow": Kind(sh(f"sleep 2; echo {{{{name}}}} > {OUT}"), tasks=3,
                 spec={"expect": {"files": ["out.txt"]}}, output="{name}\n"),
    "input": Kind(sh(f"cp /mnt/session/uploads/in.txt {OUT}"), tasks=2,
                  inputs=True, output=INPUT),
    "once": Kind(sh(f"sleep 0.2; echo {{{{name}}}} > {OUT}"), tasks=2,
                 spec={"start": "one_call"}, output="{name}\n"),
    "approved": Kind(sh("echo ran"), tasks=2, spec={"agent": ASKS},
                     answer=("--approve",), says="ran"),
    "result": Kind(call("lookup"), tasks=2, spec={"agent": ASKS},
                   answer=("--result", "42 it is"), says="42 it is"),
    "handled": Kind(call("handled"), tasks=2, spec={"agent": ASKS},
                    says="handled {"),
    "left": Kind(sh("echo ran"), spec={"agent": ASKS, "answer_within": "4s"},
                 state="failed", cents=1, says="none came in time"),
    # The first of two requests spends the budget.
    "raised": Kind(sh("echo ran"), tasks=2, says="ran",
                   spec={"max_cost": "0.01", "on_budget": "raise",
                         "raise_to": "0.05"}),
    "dear": Kind(sh("echo ran"), says="ran",
                 spec={"max_cost": "0.01", "on_budget": "ask"},
                 answer=("--raise", "0.05")),
    "checked": Kind(sh(f"echo {{{{name}}}} > {OUT}"), tasks=3,
                    spec={"expect": {"files": ["out.txt"], "check": "passes"}},
                    output="{name}\n"),
    # Of its two attempts, whose outputs are alike, only the second one passes.
    "rejected": Kind(sh(f"echo {{{{name}}}} > {OUT}"),
                     spec={"expect": {"files": ["out.txt"],
                                      "check": "passes_later"}},
                     failures=1, cents=4, output="{name}\n"),
    "cancelled": Kind(sh("sleep 300"), cancel="task", state="cancelled",
                      cents=1),
    "nudged": Kind("Begin.", spec={"agent": LOADED}, cents=1, says="Gone on."),
    # Enough for the store's log to be folded back; nobody runs them.
    "ballast": Kind("{{name}} {{more}}", tasks=1700, more="x" * 12_000,
                    account="nobody", cancel="batch", state="cancelled",
                    cents=0),
}
# What a case runs that names no kinds.
USUAL = ("plain", "input", "approved", "handled", "raised", "dear", "cancelled",
         "left")


def names_of(kind):
    return [f"{kind}-{number}" for number in range(KINDS[kind].tasks)]


def kind_of(task):
    return task["name"].rpartition("-")[0]


def write_batch(folder, name):
    """The batch file of a kind."""
    kind = KINDS[name]
    (folder / "in.txt").write_text(INPUT)
    inputs = [{"path": "in.txt", "mount": "in.txt"}] if kind.inputs else []
    path = folder / f"{name}.json"
    path.write_text(json.dumps({
        "name": name, "account": kind.account,
        "defaults": {"agent": QUIET, "prompt": kind.prompt, **kind.spec},
        "tasks": [{"name": task, "inputs": inputs,
                   "parameters": {"name": task, "more": kind.more}}
                  for task in names_of(name)]}))
    return path


def write_tools(folder):
    """What answers the custom tool `handled`, and looks at outputs."""
    for name, text in (("tool", 'echo "handled $(cat)"'),
                       ("check", 'sleep 0.5; grep -q . out.txt'),
                       ("later", 'sleep 0.5; test "$MIDWATCH_ATTEMPT" -gt 1')):
        command = folder / f"{name}.sh"
        command.write_text(f"#!/bin/sh\n{text}\n")
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
    path = folder / "tools.yaml"
    path.write_text("tools:\n"
                    "  handled: {command: [./tool.sh], timeout: 20s}\n"
                    "checks:\n"
                    "  passes: {command: [./check.sh], timeout: 20s}\n"
                    "  passes_later: {command: [./later.sh], timeout: 20s}\n")
    return path


class LoadedModel(http.server.ThreadingHTTPServer):
    """Has no room for a first message, and takes the one that follows."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Answers)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        said = json.dumps(body["messages"])
        if "Please go on" not in said:
            # For longer than the harness waits.
            self.answer(529, "application/json", json.dumps(
                {"type": "error", "error": {"type": "overloaded_error",
                                            "message": "no room"}}),
                        {"retry-after": "100000"})
            return
        events = [
            {"type": "message_start", "message": {
                "usage": {"input_tokens": CENT, "output_tokens": 0}}},
            {"type": "content_block_start", "index": 0,
             "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0,
             "delta": {"type": "text_delta", "text": "Gone on."}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"},
             "usage": {"output_tokens": 0}},
            {"type": "message_stop"}]
        self.answer(200, "text/event-stream", "".join(
            f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
            for event in events))

    def answer(self, code, kind, body, headers=()):
        self.send_response(code)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


class People:
    """Answer what is asked and cancel what is to be cancelled, again and again
    where nobody hears."""

    OPEN = ("blocked", "queued", "running", "waiting", "cancelling")

    def __init__(self, cluster):
        self._cluster = cluster
        self.open_tasks = None  # when they last looked; None: not known

    def look(self):
        self.open_tasks = None
        # The scheduler may be down, or may not have said that it heard.
        with contextlib.suppress(mw.Failure):
            tasks = mw.json_lines(self._cluster.midwatch(
                "--output", "json", "task", "list",
                *(part for state in self.OPEN for part in ("--state", state))))
            self.open_tasks = len(tasks)
            for task in tasks:
                self._help(task, KINDS[kind_of(task)])

    def _help(self, task, kind):
        if task["state"] == "waiting" and kind.answer:
            for question in task["questions"]:
                self._cluster.midwatch("task", "answer", task["task_id"],
                                       "--question", question["question_id"],
                                       *kind.answer)
        if (task["state"] == "running" and kind.cancel == "task"
                and self._is_at_work(task["session_id"])):
            self._cluster.midwatch("task", "cancel", task["task_id"])

    def _is_at_work(self, session_id):
        return mw.read_harness(
            self._cluster.harness_db,
            f"SELECT 1 FROM event WHERE session_id = '{session_id}' AND "
            "type = 'agent.tool_use'")


def check_task(task):
    """Failure where it did not end as its kind is to."""
    kind = KINDS[kind_of(task)]
    seen = (task["state"], task["charged_usd_micros"],
            task["reserved_usd_micros"])
    if seen != (kind.state, kind.cents * CENT, 0):
        raise mw.Failure(f"task {task['name']}: {seen}, {task['reason']}")
    if kind.state == "succeeded" and task["failures"] != kind.failures:
        raise mw.Failure(f"task {task['name']} has failed otherwise: {task}")
    if kind.says not in (task["final_message"] +
                                            task["reason"]):
        raise mw.Failure(f"task {task['name']} does not say '{kind.says}': "
                         f"{task['final_message']} {task['reason']}")
    if kind.output:
        content = kind.output.format(name=task["name"])
        wanted = [{"path": "out.txt", "size_bytes": len(content),
                   "sha256": hashlib.sha256(content.encode()).hexdigest()}]
        if task["outputs"] != wanted:
            raise mw.Failure(f"task {task['name']} has {task['outputs']}, and "
                             f"not {wanted}")


def check_events(cluster, task):
    """Failure where the queue does not have, once and in the harness's order,
    what happened in the task's session until it came to rest."""
    if not task["session_id"]:
        return
    # A message shows when it is queued, and again when it is processed.
    stored = [(event["id"], event.get("processed_at") is None)
              for event in mw.json_lines(cluster.midwatch(
                  "--output", "json", "task", "logs", task["task_id"]))]
    happened = [row[0] for row in mw.read_harness(
        cluster.harness_db,
        "SELECT id FROM event WHERE session_id = "
        f"'{task['session_id']}' AND processed_at IS NOT NULL AND seq <= "
        "(SELECT max(seq) FROM event e WHERE e.session_id = event.session_id "
        "AND e.type = 'session.status_idle')")]
    if len(stored) != len(set(stored)):
        raise mw.Failure(f"task {task['name']} has events twice: {stored}")
    missing = set(happened) - {event for event, _ in stored}
    if missing:
        raise mw.Failure(f"task {task['name']}: events {missing} of {happened} "
                         f"are lost")
