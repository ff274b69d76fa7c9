#!/usr/bin/env python3
"""Custom tools that a worker answers with a command or a URL: nobody is asked,
and a worker that dies in the middle leaves nothing unanswered.

  tools_test.py MIDWATCH
"""

import http.server
import json
import stat
import sys
import threading

import cluster as mw

TASKS = 12
TOOL = {"type": "custom", "description": "Looks up.",
        "input_schema": {"type": "object"}}
AGENT = {"name": "tools", "model": "runbook",
         "tools": [{"type": "agent_toolset_20260401"},
                   {**TOOL, "name": "by_command"}, {**TOOL, "name": "by_url"}]}
COMMAND = """#!/bin/sh
read -r input
sleep 0.5
case "$input" in *missing*) echo "no such key" >&2; exit 1;; esac
echo "command saw $input for $MIDWATCH_TOOL"
"""


class Handler(http.server.BaseHTTPRequestHandler):
    calls = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.calls.append(body)
        answer = f"url saw {body['input']['key']}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def call(tool, key):
    return f"```tool {tool}\n{json.dumps({'key': key})}\n```"


def write_files(folder, port):
    command = folder / "tool.sh"
    command.write_text(COMMAND)
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    tools = folder / "tools.yaml"
    tools.write_text(f"""tools:
  by_command: {{command: [./tool.sh], timeout: 20s}}
  by_url: {{url: "http://127.0.0.1:{port}/look"}}
""")
    tasks = []
    for n in range(TASKS):
        # The agent's last message shows the last call's result.
        calls = [call("by_command", f"c{n}"), call("by_url", f"u{n}")]
        tasks.append({"name": f"t{n:02}", "parameters": {
            "text": "\n".join(calls[::-1] if n % 2 else calls)}})
    tasks.append({"name": "error", "parameters": {
        "text": call("by_command", "missing")}})
    (folder / "batch.json").write_text(json.dumps(
        {"name": "tools", "defaults": {"agent": AGENT, "prompt": "{{text}}"},
         "tasks": tasks}))
    return tools, [task["name"] for task in tasks]


def run(binary, folder, port):
    tools, names = write_files(folder, port)
    cluster = mw.Cluster(binary, folder, workers=2, jobs=4,
                         worker_options=("--tools", tools))
    try:
        cluster.start_all()
        batch_id = cluster.midwatch("submit", folder / "batch.json").strip()
        mw.wait_until(lambda: len(Handler.calls) >= 2, 60, "tools to be called")
        cluster["worker-1"].kill()
        cluster.start("worker-1")
        cluster.finish(batch_id, 120)
        tasks = {task["name"]: task for task in cluster.check([batch_id], names)}
        journal = cluster.midwatch("journal", "--all", "--kind", "parked")
    finally:
        cluster.stop_all()
    for number in range(TASKS):
        task = tasks[f"t{number:02}"]
        said = task["final_message"]
        wanted = (f'command saw {{"key":"c{number}"}} for by_command'
                  if number % 2 else f"url saw u{number}")
        if task["state"] != "succeeded" or wanted not in said:
            raise mw.Failure(f"task {task['name']}: {task['state']}, {said}")
    if "no such key" not in tasks["error"]["final_message"]:
        raise mw.Failure(f"the error did not reach the agent: {tasks['error']}")
    if "parked" in journal:
        raise mw.Failure(f"somebody was asked:\n{journal}")
    seen = {call["input"]["key"] for call in Handler.calls}
    if seen != {f"u{n}" for n in range(TASKS)}:
        raise mw.Failure(f"the URL saw {seen}")
    print(f"tools_test: {len(tasks)} tasks, {len(Handler.calls)} calls of the "
          f"URL, adoptions={cluster.adoptions()}", flush=True)


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with mw.scratch_folder("tools") as folder:
        run(sys.argv[1], folder, server.server_address[1])


if __name__ == "__main__":
    main()
