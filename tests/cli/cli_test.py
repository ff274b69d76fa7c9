"""The midwatch binary as a shell sees it: exit codes, messages, JSON."""

import datetime
import json
import os
import pathlib
import pty
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import unittest

MIDWATCH = os.path.abspath(sys.argv.pop(1))

BATCH = """
name: batch
defaults:
  agent: {{name: a, model: {model}, tools: [{{type: agent_toolset_20260401}}]}}
  prompt: |
    ```sh
    {command}
    ```
  max_cost: $0.10
  retry: {{max_failures: 1}}
  expect: {{files: [out.txt]}}
tasks: [{{name: one}}, {{name: two}}]
"""


class CliTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="midwatch-")
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)

    def start(self, *arguments, **kwargs):
        environment = dict(os.environ, XDG_STATE_HOME=str(self.path))
        environment.pop("ANTHROPIC_API_KEY", None)
        environment.pop("MIDWATCH_SERVER", None)
        environment.update(kwargs.pop("env", {}))
        return subprocess.Popen(
            [MIDWATCH, *arguments], cwd=self.path, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)

    def run_cli(self, *arguments, **kwargs):
        process = self.start(*arguments, **kwargs)
        # Long, for the sanitizers' sake.
        out, err = process.communicate(timeout=240)
        return process.returncode, out, err

    def write(self, model="runbook",
              command="echo hi > /mnt/session/outputs/out.txt"):
        file = self.path / "batch.yaml"
        file.write_text(BATCH.format(model=model, command=command))
        return file.name

    def start_node(self, *arguments):
        """Starts a long-running command; returns what it says when ready."""
        process = self.start(*arguments)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process, process.stdout.readline()

    def test_wrong_usage_is_bad_input(self):
        for arguments in ([], ["nonsense"], ["run"], ["batch"],
                          ["run", "x", "--jobs", "0"],
                          ["run", "x", "--param", "novalue"],
                          ["scheduler", "--keep-transcripts", "30d"],
                          ["scheduler", "--keep-transcripts", "1m"],
                          ["scheduler", "--keep-batches", "30d"],
                          ["scheduler", "--keep-batches-count", "-1"],
                          ["scheduler", "--keep-tasks", "30d"],
                          ["scheduler", "--keep-tasks-count", "-1"],
                          ["batch", "delete"],
                          ["batch", "delete", "--yes", "a-name"],
                          ["--output", "xml", "batch", "list"]):
            code, _, err = self.run_cli(*arguments)
            self.assertEqual(code, 2, (arguments, err))
            self.assertRegex(err, r"^(midwatch: .*\n)+$", arguments)
        for arguments, says in [
                (["batch"], "`midwatch batch` takes a command; expected one of "
                            "list, get, "),
                (["task", "update", "X", "--priority", "x"],
                 "--priority is 'x'; expected a number; see `midwatch task "
                 "update --help`\n")]:
            self.assertIn(says, self.run_cli(*arguments)[2])

    def test_help_and_version(self):
        code, out, _ = self.run_cli("--version")
        self.assertEqual((code, out[:9]), (0, "midwatch "))
        for command in ([], ["run"], ["task", "update"], ["batch", "retry"]):
            code, out, _ = self.run_cli(*command, "--help")
            self.assertEqual(code, 0)
            self.assertLessEqual(max(map(len, out.splitlines())), 80, out)

    def test_bad_batch_file_is_refused_before_anything_happens(self):
        (self.path / "bad.yaml").write_text("name: x\nnmae: y\n")
        code, out, err = self.run_cli("run", "bad.yaml")
        self.assertEqual(code, 2)
        self.assertEqual(out, "")
        self.assertIn("midwatch: bad.yaml:2:1: unknown key 'nmae'", err)
        self.assertFalse((self.path / "midwatch").exists())

    def test_a_batch_whose_tasks_are_refused_is_none(self):
        # What only the scheduler can know.
        text = (self.path / self.write()).read_text()
        (self.path / "needy.yaml").write_text(text.replace(
            "{name: one}",
            "{name: one, needs: [{task: 01MCC5RM00BK0G000000000001}]}"))
        code, _, err = self.run_cli("run", "needy.yaml")
        self.assertEqual(code, 2, err)
        self.assertIn("midwatch: needy.yaml: task 'one' needs "
                      "'01MCC5RM00BK0G000000000001': there is no such task\n",
                      err)
        code, out, _ = self.run_cli("--output", "json", "batch", "list")
        self.assertEqual((code, out), (0, ""))

    def test_what_a_refused_submit_tells_to_type_leads_to_its_batch(self):
        # Once it said `midwatch batch cancel ID` alone, and there was no such
        # batch in the state directory where that looked.
        head = {"batch": {"name": "n", "defaults": {
            "agent": {"name": "a", "model": "runbook"}, "prompt": "p"}}}
        # More than one message holds.
        lines = [head] + [{"name": f"t{i}"} for i in range(1100)]
        lines[-1]["needs"] = [{"task": "01MCC5RM00BK0G000000000001"}]
        (self.path / "b.jsonl").write_text(
            "".join(json.dumps(line) + "\n" for line in lines))
        code, out, err = self.run_cli("submit", "b.jsonl", "--state-dir", "a b")
        self.assertEqual((code, out), (2, ""), err)
        command = re.search(r"holds the first 1000 tasks: `(.*)` ends what "
                            r"runs\n", err).group(1)
        code, out, err = self.run_cli(*shlex.split(command)[1:])
        self.assertEqual((code, out), (0, "done\n"), err)

        self.assertEqual(self.run_cli("submit", self.write(), "--state-dir",
                                      "a b")[0], 0)
        batch = json.loads(self.run_cli(
            "batch", "get", "batch", "--state-dir", "a b", "--output",
            "json")[1])["batch_id"]
        code, _, err = self.run_cli("batch", "delete", batch, "--yes",
                                    "--state-dir", "a b")
        self.assertEqual(code, 2)
        command = re.search(r"cancel it first \(`(.*)`\)", err).group(1)
        code, out, err = self.run_cli(*shlex.split(command)[1:])
        self.assertEqual((code, out), (0, "done\n"), err)

    def test_run_writes_results(self):
        code, out, err = self.run_cli("run", self.write(), "--results", "r")
        self.assertEqual(code, 0, out + err)
        self.assertNotIn("\x1b", out)
        self.assertRegex(out, r"succeeded +2")
        self.assertRegex(out, r"cost +\$0\.04")
        self.assertIn("results in r", out)
        lines = (self.path / "r/results.jsonl").read_text().splitlines()
        self.assertEqual([json.loads(line)["name"] for line in lines],
                         ["one", "two"])
        self.assertEqual((self.path / "r/outputs/one/out.txt").read_text(),
                         "hi\n")

        # The same batch, seen by other commands on the same state.
        code, out, _ = self.run_cli("--output", "json", "batch", "list")
        batch = json.loads(out)
        self.assertEqual((code, batch["state"], batch["counts"]["succeeded"]),
                         (0, "done", 2))
        exported = self.run_cli("export", "batch")[1].splitlines()
        self.assertEqual(exported, lines)
        self.assertEqual(
            self.run_cli("export", batch["batch_id"], "--out", "e.jsonl")[0], 0)
        self.assertEqual((self.path / "e.jsonl").read_text().splitlines(),
                         lines)
        task = json.loads(lines[0])
        code, out, _ = self.run_cli("task", "events", task["task_id"],
                                    "--output", "json")
        types = [json.loads(line)["type"] for line in out.splitlines()]
        self.assertIn("agent.tool_use", types)
        code, out, _ = self.run_cli("task", "output", task["task_id"])
        self.assertEqual(out.strip(), task["final_message"].strip())
        code, out, _ = self.run_cli("task", "get", task["task_id"])
        self.assertIn(task["session_id"], out)
        code, out, _ = self.run_cli("task", "list", "--batch", "batch",
                                    "--state", "failed", "--output", "json")
        self.assertEqual((code, out), (0, ""))
        self.assertEqual(self.run_cli("batch", "watch", "batch")[0], 0)
        # A final task is tried again as a new one.
        code, out, _ = self.run_cli("task", "retry", task["task_id"])
        self.assertEqual(code, 0)
        code, out, _ = self.run_cli("task", "cancel", out.strip(),
                                    "--output", "json")
        self.assertEqual(json.loads(out)["state"], "cancelled")

    def test_export_with_files_goes_on_where_it_was(self):
        self.assertEqual(self.run_cli("run", self.write(), "--results", "r")[0],
                         0)
        command = ["export", "batch", "--out", "e.jsonl", "--artifacts", "f",
                   "--events"]
        code, out, err = self.run_cli(*command)
        self.assertEqual((code, out), (0, ""), err)
        lines = (self.path / "e.jsonl").read_text().splitlines()
        tasks = [json.loads(line) for line in lines]
        self.assertEqual([task["name"] for task in tasks], ["one", "two"])
        folder = self.path / "f" / tasks[0]["batch_id"]
        files = sorted(str(path.relative_to(folder))
                       for path in folder.rglob("*") if path.is_file())
        self.assertEqual(files, [
            "one/attempt-1.jsonl", "one/outputs/out.txt",
            "two/attempt-1.jsonl", "two/outputs/out.txt"])
        one, two = folder / "one/outputs/out.txt", folder / "two/outputs/out.txt"
        self.assertEqual(one.read_text(), "hi\n")
        events = (folder / "one/attempt-1.jsonl").read_text().splitlines()
        self.assertEqual(
            events, self.run_cli("task", "events", tasks[0]["task_id"],
                                 "--output", "json")[1].splitlines())

        # What is there stays; what is not as it should be is fetched.
        os.utime(one, (1, 1))
        two.write_text("no")
        (folder / "two/attempt-1.jsonl").unlink()
        self.assertEqual(self.run_cli(*command)[0], 0)
        self.assertEqual(one.stat().st_mtime, 1)
        self.assertEqual(two.read_text(), "hi\n")
        self.assertTrue((folder / "two/attempt-1.jsonl").exists())

        code, out, _ = self.run_cli("export", "--since", "2020-01-01")
        self.assertEqual((code, out.splitlines()), (0, lines))
        self.assertEqual(self.run_cli("export", "batch", "batch")[1], out)
        self.assertEqual(self.run_cli("export", "--since", "2999-01-01")[1], "")
        for wrong in (["export"], ["export", "batch", "--events"],
                      ["export", "batch", "--since", "2020-01-01"],
                      ["export", "--since", "yesterday"]):
            self.assertEqual(self.run_cli(*wrong)[0], 2, wrong)

    def test_batch_delete(self):
        self.assertEqual(self.run_cli("run", self.write(), "--results", "r")[0],
                         0)
        batch = json.loads(self.run_cli("--output", "json", "batch", "list")[1])
        batch_id = batch["batch_id"]
        command = ["batch", "delete", batch_id]
        code, out, err = self.run_cli(*command, stdin=subprocess.DEVNULL)
        self.assertEqual((code, out), (2, ""))
        self.assertIn("--yes", err)
        code, _, err = self.run_cli("batch", "delete", "--yes", "batch")
        self.assertEqual(code, 2)
        self.assertIn("'batch' is no batch's id", err)

        # A terminal is asked, and says no.
        leader, follower = pty.openpty()
        self.addCleanup(os.close, leader)
        self.addCleanup(os.close, follower)
        os.write(leader, b"n\n")
        code, out, err = self.run_cli(*command, stdin=follower)
        self.assertEqual((code, out), (130, ""))
        self.assertRegex(err, rf"{batch_id}  batch, 2 tasks, \$0\.04")
        self.assertIn("nothing is deleted", err)
        self.assertEqual(self.run_cli("batch", "get", batch_id)[0], 0)
        os.write(leader, b"y\n")
        code, out, err = self.run_cli(*command, stdin=follower)
        self.assertEqual((code, out),
                         (0, f"deleted {batch_id} with 2 tasks\n"), err)

        for gone in (["batch", "get", batch_id], [*command, "--yes"],
                     ["export", batch_id]):
            code, _, err = self.run_cli(*gone)
            self.assertEqual(code, 2, gone)
            self.assertIn("deleted", err, gone)
        self.assertEqual(self.run_cli("batch", "list", "--output", "json")[1],
                         "")
        journal = [json.loads(line) for line in self.run_cli(
            "journal", "--all", "--output", "json")[1].splitlines()]
        self.assertEqual([(entry["kind"], entry["charged_usd_micros"])
                          for entry in journal if entry["batch_id"]],
                         [("batch_done", 40_000), ("batch_deleted", 0)])
        _, out, err = self.run_cli("journal", "--all", "--batch", batch_id)
        self.assertIn("batch_deleted", out, err)
        # The same file is another batch.
        code, _, err = self.run_cli("run", "batch.yaml", "--results", "r2")
        self.assertEqual(code, 0, err)

    def test_backup_and_restore(self):
        self.assertEqual(self.run_cli("run", self.write(), "--results", "r")[0],
                         0)
        exported = self.run_cli("export", "batch")[1]
        code, out, err = self.run_cli("backup", "b")
        self.assertEqual(code, 0, err)
        self.assertRegex(out, r"^backed up 2 tasks of 1 batch and \d+ "
                              r"artifacts? to \S+/b, and checked it\n$")
        code, _, err = self.run_cli("backup", "b")
        self.assertEqual(code, 2)
        self.assertIn("is there already", err)
        code, _, err = self.run_cli("backup", "c", "--state-dir", "typo")
        self.assertEqual(code, 2)
        self.assertIn("there is no queue in typo", err)
        self.assertFalse((self.path / "typo").exists())

        code, out, err = self.run_cli("restore", "b", "--state-dir", "n")
        self.assertEqual(code, 0, err)
        self.assertRegex(out, r"^restored 2 tasks of 1 batch and \d+ artifact")
        self.assertEqual(
            self.run_cli("export", "batch", "--state-dir", "n")[1], exported)
        code, _, err = self.run_cli("restore", "b", "--state-dir", "n")
        self.assertEqual(code, 2)
        self.assertIn("is not empty", err)
        code, _, err = self.run_cli("restore", "r", "--state-dir", "m")
        self.assertEqual(code, 2)
        self.assertIn("is no backup", err)

        # An output that is lost is told, and the rest is backed up.
        for file in (self.path / "midwatch/artifacts").glob("*/*"):
            if file.parent.name != "scratch":
                file.unlink()
        code, out, err = self.run_cli("--output", "json", "backup", "c")
        self.assertEqual(code, 1)
        self.assertGreaterEqual(json.loads(out)["missing_artifacts"], 1)
        self.assertIn("cannot be read, such as", err)

    def test_dry_run_tells_and_touches_nothing(self):
        file = self.write()
        for command in ("run", "submit"):
            code, out, err = self.run_cli(command, file, "--dry-run",
                                          "--state-dir", "s")
            self.assertEqual((code, err), (0, ""))
            self.assertIn("batch: 2 tasks, nothing submitted\n", out)
            self.assertRegex(out, r"\n  tasks +one, two\n")
            self.assertRegex(out, r"\n  at most +\$0\.20 \(\$0\.10 a task\)\n")
        (self.path / "in.txt").write_text("input")
        head = {"batch": {"name": "n", "budget": 2, "canary": {
            "tasks": 3, "min_success": 0.5, "max_cost": 1}, "stop_when": {
            "failed": 2}, "defaults": {
            "agent": "a", "prompt": "p", "max_cost": "$0.50",
            "on_budget": "raise", "raise_to": "$1.50"}}}
        tasks = [{"name": name, "inputs": [{"path": "in.txt", "mount": "m"}]}
                 for name in "abcdef"]
        (self.path / "b.jsonl").write_text(
            "\n".join(map(json.dumps, [head, *tasks])))
        # Nor is a server asked.
        code, out, err = self.run_cli("submit", "b.jsonl", "--dry-run",
                                      "--output", "json",
                                      "--server", "127.0.0.1:1")
        self.assertEqual(code, 0, err)
        said = json.loads(out)
        self.assertRegex(said.pop("content_sha256"), "^[0-9a-f]{64}$")
        self.assertEqual(said, {
            "dry_run": True, "name": "n", "queue": "default",
            "tenant": "default", "account": "default", "tasks": 6,
            "first_names": list("abcde"), "task_max_usd_micros": 1500000,
            "batch_max_usd_micros": 2000000, "budget_usd_micros": 2000000,
            "canary": {"tasks": 3, "min_success": 0.5,
                       "max_cost_usd_micros": 1000000},
            "stop_when": {"failed": 2, "failed_ratio": None, "after": None},
            "inputs": 1, "input_bytes": 5, "notes": []})
        self.assertEqual(sorted(path.name for path in self.path.iterdir()),
                         ["b.jsonl", "batch.yaml", "in.txt"])
        code, out, err = self.run_cli("submit", "b.jsonl", "--dry-run")
        self.assertIn("\n  canary    the first 3 tasks, of which 0.5 must "
                      "succeed, for at most $1.00\n"
                      "  stops     once 2 failed\n", out)
        head["batch"]["defaults"] = {"agent": "a", "prompt": "p"}
        (self.path / "b.jsonl").write_text("\n".join(map(json.dumps, [
            head, {"name": "a", "max_cost": "$0.10"}, {"name": "b"}])))
        code, out, err = self.run_cli("submit", "b.jsonl", "--dry-run")
        self.assertIn("\n  at most   $1.10 ($0.10 to $1.00 a task)\n", out)
        (self.path / "b.jsonl").write_text("{}\n")
        code, out, err = self.run_cli("submit", "b.jsonl", "--dry-run")
        self.assertEqual((code, out), (2, ""))
        self.assertIn("midwatch: b.jsonl:1:1: no batch; expected", err)

    def test_init_writes_a_batch_that_runs_as_it_is(self):
        code, out, err = self.run_cli("init")
        self.assertEqual(code, 0, err)
        self.assertIn("run batch.yaml", out)
        file = self.path / "batch.yaml"
        text = file.read_text()
        schema = self.path / "batch.schema.json"
        self.assertEqual(text.splitlines()[0],
                         f"# yaml-language-server: $schema={schema.name}")
        self.assertIn("properties", json.loads(schema.read_text()))
        code, out, err = self.run_cli("run", "batch.yaml", "--results", "r",
                                      "--param", "greeting=Servus")
        self.assertEqual(code, 0, out + err)
        self.assertEqual(
            (self.path / "r/outputs/moon/greeting.txt").read_text(),
            "Servus, Moon!\n")
        self.assertEqual(self.run_cli("init", "-"), (0, text, ""))
        file.write_text("mine")
        code, out, err = self.run_cli("init")
        self.assertEqual((code, out), (2, ""))
        self.assertIn("batch.yaml is there; --force replaces it", err)
        self.assertEqual(file.read_text(), "mine")
        self.assertEqual(self.run_cli("init", "--force")[0], 0)
        self.assertEqual(file.read_text(), text)
        for name in ("b.json", "gone/b.yaml"):
            code, _, err = self.run_cli("init", name)
            self.assertEqual(code, 2, err)

    def test_each_line_of_a_file_is_submitted_once_though_it_is_killed(self):
        _, line = self.start_node("scheduler", "--listen", "127.0.0.1:0",
                                  "--state-dir", "s")
        submit = ["submit", "b.jsonl", "--output", "json", "--server",
                  line.split()[-1]]
        head = {"batch": {"name": "n",
                          "defaults": {"agent": "a", "prompt": "p"}}}
        names = [str(number) for number in range(2500)]
        with (self.path / "b.jsonl").open("w") as file:
            for entry in (head, *({"name": name} for name in names)):
                file.write(json.dumps(entry) + "\n")
        # Of three chunks the second is acknowledged.
        code, out, _ = self.run_cli(
            *submit, env={"MIDWATCH_FAULT": "client.submit.after:3"})
        self.assertNotEqual(code, 0)
        self.assertEqual(out, "")
        code, out, err = self.run_cli(*submit)
        self.assertEqual(code, 0, err)
        said = json.loads(out)
        self.assertEqual((said["tasks"], said["continued"]), (2500, True))
        code, out, _ = self.run_cli("task", "list", "--batch",
                                    said["batch_id"], "--limit", "10000",
                                    "--output", "json", "--state-dir", "s")
        self.assertEqual([json.loads(line)["name"]
                          for line in out.splitlines()], names)
        # A file with a double is refused whole.
        with (self.path / "b.jsonl").open("a") as file:
            file.write('{"name": 7}\n')
        code, _, err = self.run_cli(*submit)
        self.assertEqual(code, 2)
        self.assertIn("b.jsonl:2502:1: task name '7' is taken already by line "
                      "9", err)

    def test_submit_killed_after_its_seal_goes_on_with_its_batch(self):
        _, line = self.start_node("scheduler", "--listen", "127.0.0.1:0",
                                  "--state-dir", "s")
        server = line.split()[-1]
        _, line = self.start_node("harness", "--port", "0", "--data-dir", "h")
        self.start_node(
            "worker", "--server", server, "--base-url",
            line.split("serving ")[1].split()[0], "--api-key-file", "h/api-key",
            "--cache-dir", "c")
        submit = ["submit", self.write(), "--server", server]
        # Opened, one chunk, sealed.
        code, out, _ = self.run_cli(
            *submit, env={"MIDWATCH_FAULT": "client.submit.after:3"})
        self.assertNotEqual(code, 0)
        self.assertEqual(out, "")
        code, out, err = self.run_cli("batch", "watch", "batch", "--server",
                                      server)
        self.assertEqual(code, 0, out + err)
        code, out, err = self.run_cli(*submit, "--output", "json")
        self.assertEqual(code, 0, err)
        said = json.loads(out)
        self.assertTrue(said["continued"])
        # Its id was told: a submit from here on means another.
        code, out, err = self.run_cli(*submit)
        self.assertEqual(code, 0, err)
        self.assertNotEqual(out.strip(), said["batch_id"])
        _, out, _ = self.run_cli("batch", "list", "--server", server,
                                 "--output", "json")
        self.assertEqual(len(out.splitlines()), 2)

    def test_tasks_are_found_by_state_queue_and_label(self):
        (self.path / "labels.yaml").write_text(
            BATCH.format(model="runbook",
                         command="echo hi > /mnt/session/outputs/out.txt")
            .replace("name: batch\n", "name: batch\nqueue: fast\n")
            .replace("{name: two}", "{name: two, labels: {team: x}}"))
        code, out, err = self.run_cli("run", "labels.yaml")
        self.assertEqual(code, 0, out + err)

        def names(*filters):
            code, out, err = self.run_cli("task", "list", *filters,
                                          "--output", "json")
            self.assertEqual(code, 0, err)
            return [json.loads(line)["name"] for line in out.splitlines()]

        self.assertEqual(names("--state", "succeeded"), ["one", "two"])
        self.assertEqual(names("--state", "failed"), [])
        self.assertEqual(names("--queue", "fast"), ["one", "two"])
        self.assertEqual(names("--queue", "slow"), [])
        self.assertEqual(names("--label", "team=x"), ["two"])
        self.assertEqual(names("--batch", "batch", "--state", "succeeded",
                               "--queue", "fast", "--label", "team=x"),
                         ["two"])
        code, out, _ = self.run_cli("batch", "list", "--state", "done",
                                    "--queue", "fast", "--output", "json")
        self.assertEqual((code, json.loads(out)["queue"]), (0, "fast"))
        for arguments in (["task", "list", "--label", "team"],
                          ["task", "list", "--label", "te am=x"],
                          ["batch", "list", "--state", "lost"]):
            code, _, err = self.run_cli(*arguments)
            self.assertEqual(code, 2, (arguments, err))

    def test_logs_follow_a_task_to_its_end(self):
        file = self.write(command="printf 'be\\033gin\\n'; seq 20; sleep 1; "
                                  "touch /mnt/session/outputs/out.txt")
        run = self.start("run", file)
        self.addCleanup(run.wait)
        self.addCleanup(run.kill)
        run.stdout.readline()
        _, out, _ = self.run_cli("task", "list", "--output", "json")
        task = json.loads(out.splitlines()[0])["task_id"]
        code, followed, err = self.run_cli("task", "logs", task, "--follow")
        self.assertEqual(code, 0, err)
        run.communicate(timeout=60)
        for line in (r"attempt 1\n", r"user +", r'bash +{"command":"',
                     r"result +be\?gin\n", r"\.\.\. \d+ more lines\n",
                     r"cost +\$0\.0\d\n", r"idle +end_turn\n",
                     r"task succeeded\n$"):
            self.assertRegex(followed, line)
        self.assertNotIn("\x1b", followed)
        # Afterwards the same can be read, as lines or as events.
        code, out, _ = self.run_cli("task", "logs", task)
        self.assertEqual(out + "task succeeded\n", followed)
        code, out, _ = self.run_cli("task", "logs", task, "--attempt", "1",
                                    "--output", "json")
        types = [json.loads(line)["type"] for line in out.splitlines()]
        self.assertIn("agent.tool_use", types)
        code, _, err = self.run_cli("task", "logs", task, "--attempt", "2",
                                    "--follow")
        self.assertEqual(code, 2, err)
        self.assertIn("no attempt 2", err)

    def test_queues_and_tenants_are_set_while_things_wait(self):
        def shown(*arguments):
            code, out, err = self.run_cli("--output", "json", *arguments)
            self.assertEqual(code, 0, err)
            return json.loads(out)

        # Before anything has named it.
        pause = ["queue", "pause", "default", "--reason", "moving"]
        code, _, err = self.run_cli(*pause)
        self.assertEqual((code, err),
                         (0, "midwatch: no task has named queue default yet; "
                             "those that will, wait\n"))
        self.assertEqual(self.run_cli(*pause)[2], "")
        queue = shown(*pause, "--until", "2h")
        self.assertEqual(queue["pause"]["reason"], "moving")
        self.assertIsNotNone(queue["pause"]["until"])
        code, batch, _ = self.run_cli("submit", self.write())
        self.assertEqual(code, 0)
        batch = batch.strip()
        queue = shown("queue", "set", "default", "--weight", "3",
                      "--max-running", "5")
        self.assertEqual((queue["weight"], queue["max_running"],
                          queue["counts"]["queued"], queue["waiting_lanes"]),
                         (3, 5, 2, 1))
        code, out, _ = self.run_cli("batch", "get", batch)
        self.assertRegex(out, r"waits +queue default is paused: moving; since "
                              r".*, until .*queue resume default`")
        code, out, _ = self.run_cli("queue", "list")
        self.assertRegex(out, r"default +paused +3 +5 +0 +2 ")
        self.assertIsNone(shown("queue", "resume", "default")["pause"])
        tenant = shown("tenant", "set", "default", "--weight", "2")
        self.assertEqual((tenant["weight"], tenant["max_running"]), (2, 0))
        self.assertEqual(shown("tenant", "list"), tenant)
        self.assertEqual(shown("tenant", "get", "default"), tenant)
        account = shown("account", "set", "default", "--max-running", "7")
        self.assertEqual(account["max_running"], 7)
        self.assertEqual(shown("key", "set", "repo-7", "--max-running", "3"),
                         {"key": "repo-7", "max_running": 3})
        self.assertEqual(shown("key", "list"),
                         {"tenant": "default", "key": "repo-7",
                          "max_running": 3, "running": 0})
        self.assertEqual(self.run_cli("key", "set", "repo-7", "--max-running",
                                      "1")[1], "repo-7: 1 at once\n")
        self.assertNotIn("repo-7", self.run_cli("key", "list")[1])
        changed = shown("batch", "set", batch, "--max-running", "9")
        self.assertEqual(changed["max_running"], 9)
        # What is wrong is said, with what to do.
        for arguments, says in [
                (("queue", "get", "none"), "no such queue"),
                (("queue", "resume", "none"), "no such queue"),
                (("tenant", "get", "none"), "no such tenant"),
                (("queue", "set", "default"), "nothing to set; expected"),
                (("queue", "set", "default", "--weight", "0"),
                 "weight: 0; expected 1 to 1000"),
                (("batch", "pause", batch, "--until", "soon"),
                 "--until is 'soon'; expected"),
                (("key", "set", "repo-7", "--max-running", "0"),
                 "max_running: 0; expected 1 to 100000"),
                (("account", "set", "none", "--max-running", "1"),
                 "no such account")]:
            code, _, err = self.run_cli(*arguments)
            self.assertEqual(code, 2, err)
            self.assertIn(says, err)

    def test_a_paused_batch_waits_until_it_is_resumed(self):
        code, batch, _ = self.run_cli("submit", self.write())
        batch = batch.strip()
        code, out, _ = self.run_cli("batch", "pause", batch, "--reason",
                                    "look first")
        self.assertEqual(code, 0)
        self.assertIn("the batch is paused: look first", out)
        for word, found in [("paused", 1), ("sealed", 1), ("queued", 0)]:
            code, out, _ = self.run_cli("batch", "list", "--state", word)
            self.assertEqual((code, len(out.splitlines())), (0, 1 + found))
            self.assertEqual("  paused  " in out, found == 1)
        self.assertRegex(self.run_cli("batch", "get", batch)[1],
                         r"\nstate +paused\n")
        # Whoever watches or runs it is told, and does not wait for a person.
        code, out, _ = self.run_cli("batch", "watch", batch)
        self.assertEqual(code, 3)
        self.assertEqual(out.count("the batch is paused: look first"), 1)
        code, out, err = self.run_cli("run", "batch.yaml", "--results", "r")
        self.assertEqual(code, 3, out + err)
        self.assertIn(f"`{MIDWATCH} batch resume {batch}` resumes it", out)
        self.assertEqual(self.run_cli("batch", "resume", batch)[0], 0)
        code, out, err = self.run_cli("run", "batch.yaml", "--results", "r")
        self.assertEqual(code, 0, out + err)
        self.assertIn(f"continuing batch {batch}", out)
        code, _, err = self.run_cli("batch", "pause", batch)
        self.assertEqual(code, 2)
        self.assertIn("the batch is done", err)

    def test_what_run_tells_to_type_leads_to_its_state(self):
        file = self.path / self.write(model="no-such-model")
        file.write_text(file.read_text() + "canary: {tasks: 1}\n")
        run = ["run", file.name, "--results", "r", "--state-dir", "my state"]
        # A run asks no server; nor do the commands that it names.
        server = {"MIDWATCH_SERVER": "127.0.0.1:1"}
        code, out, err = self.run_cli(*run, env=server)
        self.assertEqual(code, 3, out + err)
        self.assertNotIn("127.0.0.1:1", out)
        for what in ("task get", "batch resume"):
            command = re.search(rf"{MIDWATCH} {what} [^`\n]*", out).group()
            self.assertTrue(
                command.endswith(" --server '' --state-dir 'my state'"), out)
            code, _, err = self.run_cli(*shlex.split(command)[1:], env=server)
            self.assertEqual(code, 0, err)
        code, out, err = self.run_cli(*run)
        self.assertEqual(code, 1, out + err)
        self.assertRegex(out, r"task get \w+ --state-dir 'my state'\n")

    def test_results_that_cannot_be_written_cost_nothing(self):
        file = self.write()
        (self.path / "taken").write_text("")
        code, out, err = self.run_cli("run", file, "--results", "taken/r")
        self.assertEqual((code, out), (2, ""))
        self.assertIn("midwatch: cannot make taken/r: ", err)
        code, out, _ = self.run_cli("batch", "list", "--output", "json")
        self.assertEqual((code, out), (0, ""))
        # Where they turn out to be so at the end, all else is told.
        (self.path / "r/results.jsonl").mkdir(parents=True)
        code, out, err = self.run_cli("run", file, "--results", "r")
        self.assertEqual(code, 1, out + err)
        self.assertRegex(out, r"succeeded +2")
        self.assertIn("midwatch: cannot write r/results.jsonl", err)
        export = re.search(r"no results in r; they are kept: (.*)", out)
        code, _, err = self.run_cli(*shlex.split(export.group(1))[1:])
        self.assertEqual(code, 0, err)
        self.assertEqual(
            len((self.path / "results.jsonl").read_text().splitlines()), 2)
        # And the next run writes them, and pays for nothing.
        (self.path / "r/results.jsonl").rmdir()
        code, out, err = self.run_cli("run", file, "--results", "r")
        self.assertEqual(code, 0, out + err)
        self.assertIn("continuing batch", out)

    def test_outputs_that_are_lost_are_named_and_the_rest_is_there(self):
        file = self.path / self.write(
            command="echo {{n}} > /mnt/session/outputs/out.txt")
        file.write_text(file.read_text().replace(
            "{name: one}, {name: two}",
            "{name: one, parameters: {n: 1}}, {name: two, parameters: {n: 2}}"))
        self.assertEqual(self.run_cli("run", file.name, "--results", "r")[0], 0)
        lines = (self.path / "r/results.jsonl").read_text().splitlines()
        one = json.loads(lines[0])
        sha256 = one["outputs"][0]["sha256"]
        lost = [path for path in (self.path / "midwatch/artifacts").glob("*/*")
                if sha256 in "".join(path.parts)]
        self.assertEqual(len(lost), 1)
        lost[0].unlink()
        named = f"midwatch: task one ({one['task_id']}), out.txt: "
        code, out, err = self.run_cli("export", "batch", "--artifacts", "f")
        self.assertEqual((code, out.splitlines()), (1, lines), err)
        self.assertIn("midwatch: 1 output file cannot be had; everything else "
                      "is there\n" + named, err)
        self.assertEqual(
            [path.read_text() for path in self.path.glob("f/*/*/outputs/*")],
            ["2\n"])
        # Nothing but files, whole ones.
        self.assertEqual(list(self.path.glob("f/.partial*")), [])
        output = ["task", "output", one["task_id"], "--dir", "o"]
        code, out, err = self.run_cli(*output)
        self.assertEqual((code, out), (1, ""))
        self.assertIn(named, err)
        self.assertEqual(list((self.path / "o").iterdir()), [])
        # Of an earlier call; it was told as one of this, and emptied.
        (self.path / "o/out.txt").write_text("1\n")
        code, out, err = self.run_cli(*output)
        self.assertEqual((code, out), (1, ""))
        self.assertEqual((self.path / "o/out.txt").read_text(), "1\n")

    def test_outputs_of_a_task_are_written_whole_and_told(self):
        self.assertEqual(self.run_cli("run", self.write(), "--results", "r")[0],
                         0)
        task = json.loads(
            (self.path / "r/results.jsonl").read_text().splitlines()[0])
        output = ["task", "output", task["task_id"], "--dir", "o"]
        for text in ("", "old"):
            (self.path / "o").mkdir(exist_ok=True)
            (self.path / "o/other.txt").write_text("mine")
            self.assertEqual(self.run_cli(*output), (0, "o/out.txt\n", ""))
            self.assertEqual((self.path / "o/out.txt").read_text(), "hi\n")
            (self.path / "o/out.txt").write_text(text)
        # What is wrong here is no file that the scheduler has no longer.
        (self.path / "o/out.txt").unlink()
        (self.path / "o/out.txt").mkdir()
        self.assertEqual(self.run_cli(*output), (
            2, "", "midwatch: cannot write o/out.txt: Is a directory\n"))
        self.assertEqual(sorted(path.name for path in
                                (self.path / "o").iterdir()),
                         ["other.txt", "out.txt"])

    def test_checks_that_nothing_has_are_told_before_anything(self):
        file = self.path / self.write()
        file.write_text(file.read_text().replace(
            "{name: two}", "{name: two, expect: {check: good}}"))
        for dry_run in ([], ["--dry-run"]):
            code, out, err = self.run_cli("run", file.name, *dry_run)
            self.assertEqual((code, out), (2, ""))
            self.assertIn("midwatch: batch.yaml: task 'two': expect.check is "
                          "'good', and there is no file of checks; name one "
                          "with --tools", err)
        self.assertFalse((self.path / "midwatch").exists())
        check = self.path / "good.sh"
        check.write_text("#!/bin/sh\nexit 0\n")
        check.chmod(0o755)
        (self.path / "tools.yaml").write_text(
            "checks: {good: {command: [./good.sh]}}\n")
        for dry_run in (["--dry-run"], []):
            code, out, err = self.run_cli("run", file.name, "--tools",
                                          "tools.yaml", *dry_run)
            self.assertEqual(code, 0, out + err)

    def test_tasks_are_cancelled_by_label(self):
        file = self.path / "labels.yaml"
        tasks = ", ".join(
            f"{{name: t{n}, labels: {{kind: {'odd' if n % 2 else 'even'}}}}}"
            for n in range(7))
        file.write_text(BATCH.format(model="runbook", command="true").replace(
            "tasks: [{name: one}, {name: two}]", f"tasks: [{tasks}]"))
        code, batch, err = self.run_cli("submit", "labels.yaml")
        self.assertEqual(code, 0, err)
        code, out, _ = self.run_cli("task", "cancel", "--label", "kind=odd",
                                    "--batch", batch.strip(), "--reason", "x")
        self.assertEqual((code, out.splitlines()[-1]), (0, "3 cancelled"))
        code, out, _ = self.run_cli("task", "list", "--state", "cancelled",
                                    "--output", "json")
        self.assertEqual([json.loads(line)["name"]
                          for line in out.splitlines()], ["t1", "t3", "t5"])
        # Again there are none.
        code, out, _ = self.run_cli("task", "cancel", "--label", "kind=odd")
        self.assertEqual((code, out),
                         (0, "no unfinished task has these labels\n"))
        for arguments in ([], ["--batch", "batch"],
                          ["X", "--label", "kind=odd"]):
            code, _, err = self.run_cli("task", "cancel", *arguments)
            self.assertEqual(code, 2, err)

    def test_failed_tasks_are_told_by_cause(self):
        file = self.write(model="no-such-model")
        code, out, _ = self.run_cli("run", file, "--results", "r")
        self.assertEqual(code, 1)
        self.assertRegex(out, r"failed +2")
        self.assertIn("What failed", out)
        self.assertIn("such as one, two", out)
        code, out, _ = self.run_cli("run", file, "--new", "--results", "r",
                                    "--output", "json")
        document = json.loads(out)
        self.assertEqual(code, 1)
        self.assertEqual(document["failures"][0]["count"], 2)
        self.assertEqual(document["batch"]["counts"]["failed"], 2)

    def test_what_failed_of_a_batch_is_tried_again(self):
        file = self.write(model="no-such-model")
        text = (self.path / file).read_text()
        (self.path / file).write_text(text.replace(
            "{name: two}", "{name: two, needs: one}, {name: three}"))
        code, _, _ = self.run_cli("run", file, "--results", "r")
        self.assertEqual(code, 1)
        old = json.loads(self.run_cli("batch", "get", "batch", "--output",
                                      "json")[1])["batch_id"]
        code, batch, err = self.run_cli("batch", "retry", old)
        self.assertEqual(code, 0, err)
        # Typed again, it is the same one.
        code, again, _ = self.run_cli("batch", "retry", old, "--failed",
                                      "--output", "json")
        self.assertEqual(json.loads(again), {"batch_id": batch.strip(),
                                             "retry_of": old, "tasks": 3})
        # Which is not done.
        code, _, err = self.run_cli("batch", "retry", batch.strip(),
                                    "--failed")
        self.assertEqual(code, 2)
        self.assertIn("the batch is not done", err)
        code, out, _ = self.run_cli("task", "list", "--batch", batch.strip(),
                                    "--output", "json")
        tasks = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([(task["name"], task["state"]) for task in tasks],
                         [("one", "queued"), ("two", "blocked"),
                          ("three", "queued")])
        self.assertTrue(all(task["retry_of"] for task in tasks))
        # Of one that was cancelled whole, nothing failed.
        code, _, _ = self.run_cli("batch", "cancel", batch.strip())
        self.assertEqual(code, 0)
        code, out, _ = self.run_cli("batch", "list")
        self.assertRegex(out, rf"BATCH +STATE +SUCCEEDED +FAILED +LEFT OUT .*"
                              rf"\n{batch.strip()} +done +0/3 +0 +3 ")
        code, out, _ = self.run_cli("task", "list", "--batch", batch.strip())
        self.assertRegex(out, r"\n\w+ +cancelled .* one +cancelled\n")
        code, _, err = self.run_cli("batch", "retry", batch.strip())
        self.assertEqual(code, 2)
        self.assertIn(f"midwatch: no task of the batch failed or was skipped; "
                      f"`{MIDWATCH} batch retry {batch.strip()} --cancelled` "
                      f"tries 3 tasks that were cancelled", err)
        code, _, err = self.run_cli("batch", "retry", batch.strip(),
                                    "--cancelled")
        self.assertEqual(code, 0, err)
        code, _, err = self.run_cli("batch", "retry", "nothing", "--failed")
        self.assertEqual(code, 2)
        self.assertIn("no batch has the id or name", err)

    def test_tasks_that_wait_are_changed(self):
        file = self.write()
        text = (self.path / file).read_text()
        (self.path / file).write_text(text.replace(
            "  max_cost", "  delay: 1h\n  expires_after: 2h\n"
            "  unique: {key: k}\n  max_cost"))
        code, batch, err = self.run_cli("submit", file)
        self.assertEqual(code, 0, err)

        def tasks():
            code, out, _ = self.run_cli("task", "list", "--batch",
                                        batch.strip(), "--output", "json")
            self.assertEqual(code, 0)
            return [json.loads(line) for line in out.splitlines()]

        one, two = tasks()
        self.assertEqual((one["state"], one["unique_key"], one["priority"]),
                         ("queued", "k", 5))
        self.assertIn("delayed until", one["result"])
        self.assertEqual(two["state"], "skipped")
        self.assertEqual(two["reason"], "unique key 'k' is held by task "
                                        + one["task_id"])
        code, out, err = self.run_cli(
            "task", "update", one["task_id"], "--priority", "9",
            "--start-after", "now", "--expires", "never", "--deadline", "6h",
            "--max-cost", "$2", "--label", "team=a", "--label", "lang-",
            "--reason", "in a hurry")
        self.assertEqual((code, out), (0, one["task_id"] + "  queued\n"), err)
        one = tasks()[0]
        self.assertEqual(
            (one["priority"], one["not_before"], one["expires_at"],
             one["max_cost_usd_micros"], one["labels"]),
            (9, None, None, 2_000_000, {"team": "a"}))
        submitted, deadline = (datetime.datetime.fromisoformat(one[key])
                               for key in ("submitted_at", "deadline"))
        self.assertEqual(deadline - submitted, datetime.timedelta(hours=6))
        code, out, _ = self.run_cli("task", "get", one["task_id"])
        self.assertRegex(out, r"\ndeadline +20\d\d-")
        code, out, _ = self.run_cli("journal", "--all", "--output", "json")
        changes = [row["reason"] for row in map(json.loads, out.splitlines())
                   if row["kind"] == "task_changed"]
        self.assertEqual(len(changes), 1)
        self.assertRegex(changes[0], r"^priority 5 to 9, .*: in a hurry$")
        for arguments, says in [
                ([one["task_id"]], "nothing to change"),
                ([one["task_id"], "--priority", "11"], "0 to 9"),
                ([one["task_id"], "--expires", "soon"],
                 "how long from now, such as 90m or 12h; or never"),
                ([one["task_id"], "--start-after", "2020-01-01T00:00:00Z"],
                 "which is over"),
                ([one["task_id"], "--label", "team=a", "--label", "team-"],
                 "--label is 'team=a' and 'team-'; expected one of them"),
                ([one["task_id"], "--label", "team"], "KEY=VALUE or KEY-"),
                ([one["task_id"], "--label", "my team=a"],
                 "set_labels"),
                ([two["task_id"], "--priority", "1"], "`task retry`")]:
            code, _, err = self.run_cli("task", "update", *arguments)
            self.assertEqual(code, 2, err)
            self.assertIn(says, err)

    def test_interrupted_run_goes_on(self):
        file = self.write(command="sleep 2; touch /mnt/session/outputs/out.txt")
        process = self.start("run", file, "--results", "r")
        first = process.stdout.readline()
        # Once a session is on; the log tells.
        log = self.path / "midwatch/midwatch.log"
        while "session recorded" not in log.read_text():
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 130)
        self.assertIn(f"{MIDWATCH} run {file} --results r", out)
        self.assertIn(f"{MIDWATCH} batch cancel", out)
        code, out, _ = self.run_cli("run", file, "--results", "r")
        self.assertEqual(code, 0, out)
        batch = first.split()[-1]
        self.assertIn(f"continuing batch {batch}", out)
        for line in (self.path / "r/results.jsonl").read_text().splitlines():
            self.assertEqual(json.loads(line)["attempts"], 1)

    def test_killed_run_goes_on(self):
        file = self.write(command="sleep 1; touch /mnt/session/outputs/out.txt")
        process = self.start("run", file, "--results", "r")
        process.stdout.readline()
        log = self.path / "midwatch/midwatch.log"
        while "session recorded" not in log.read_text():
            time.sleep(0.05)
        process.kill()
        process.communicate()
        code, out, _ = self.run_cli("run", file, "--results", "r")
        self.assertEqual(code, 0, out)
        self.assertIn("continuing batch", out)

    def test_separate_processes(self):
        _, line = self.start_node("scheduler", "--listen", "127.0.0.1:0",
                                  "--state-dir", "s")
        server = line.split()[-1]
        _, line = self.start_node("harness", "--port", "0", "--data-dir", "h")
        url = line.split("serving ")[1].split()[0]
        worker, line = self.start_node(
            "worker", "--server", server, "--base-url", url,
            "--api-key-file", "h/api-key", "--cache-dir", "c")
        self.assertIn("serving", line)
        code, out, err = self.run_cli("submit", self.write(),
                                      "--server", server)
        self.assertEqual(code, 0, err)
        batch = out.strip()
        code, out, _ = self.run_cli("batch", "watch", batch,
                                    env={"MIDWATCH_SERVER": server})
        self.assertEqual(code, 0, out)
        worker.send_signal(signal.SIGTERM)
        self.assertEqual(worker.wait(timeout=30), 0)
        # Commands beside the scheduler find it by its state directory.
        code, out, _ = self.run_cli("batch", "get", batch, "--state-dir", "s")
        self.assertIn("succeeded", out)
        code, out, _ = self.run_cli("batch", "cancel", batch,
                                    "--server", server)
        self.assertEqual((code, out), (0, "done\n"))

    def test_second_process_on_one_state_is_refused(self):
        self.start_node("scheduler", "--listen", "127.0.0.1:0",
                        "--state-dir", "s")
        code, _, err = self.run_cli("run", self.write(), "--state-dir", "s")
        self.assertEqual(code, 2)
        self.assertIn("is in use", err)

    def test_a_port_that_is_taken_is_one_sentence(self):
        # gRPC wrote a line of its own first, and the first of several
        # addresses was blamed.
        _, line = self.start_node("scheduler", "--listen", "127.0.0.1:0",
                                  "--state-dir", "s")
        taken = line.split()[-1]
        for more in ([], ["--listen", "127.0.0.1:0"]):
            code, out, err = self.run_cli("scheduler", *more, "--listen", taken,
                                          "--state-dir", "t")
            self.assertEqual((code, out), (2, ""))
            self.assertEqual(
                [line for line in err.splitlines() if " I " not in line],
                [f"midwatch: cannot listen on {taken}: Address already in "
                 f"use; end what listens there, or name another with --listen "
                 f"(port 0: any that is free)"])

    def test_unreachable_and_unauthorized_are_one_sentence(self):
        file = self.write()
        key = self.path / "key"
        key.write_text("wrong\n")
        key.chmod(0o600)
        _, line = self.start_node("harness", "--port", "0", "--data-dir", "h")
        url = line.split("serving ")[1].split()[0]
        cases = [
            (["batch", "list", "--server", "127.0.0.1:1"],
             "no scheduler answers at 127.0.0.1:1"),
            (["run", file, "--base-url", "http://127.0.0.1:1",
              "--api-key-file", "key"], "cannot reach http://127.0.0.1:1"),
            (["run", file, "--base-url", url, "--api-key-file", "key"],
             "refuses the key"),
            (["worker", "--base-url", url, "--api-key-file", "key"],
             "refuses the key"),
        ]
        for arguments, expected in cases:
            code, out, err = self.run_cli(*arguments)
            self.assertEqual((code, out), (4, ""), arguments)
            self.assertIn(expected, err)
            self.assertEqual(err.count("\n"), 1, err)
        code, _, err = self.run_cli("run", file, "--base-url", url)
        self.assertEqual(code, 2)
        self.assertIn("ANTHROPIC_API_KEY", err)

    def test_secrets_that_everybody_may_read_are_told(self):
        file = self.write()
        keys = self.path / "my keys.yaml"
        keys.write_text("secrets: {default: whsec_"
                        "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=}\n")
        key = self.path / "key"
        key.write_text("wrong\n")

        def warned(mode, *arguments):
            keys.chmod(mode)
            key.chmod(mode)
            err = self.run_cli(*arguments)[2]
            self.assertNotIn("MDEy", err)
            return [line for line in err.splitlines() if "warning" in line]

        run = ["run", file, "--results", "r", "--hook-secrets", keys.name]
        hosted = ["--base-url", "http://127.0.0.1:1", "--api-key-file", "key"]
        for mode, word in ((0o644, "read"), (0o606, "read and write"),
                           (0o602, "write")):
            for name, arguments in (
                    ("'my keys.yaml'", run), ("key", ["run", file, *hosted]),
                    ("key", ["worker", *hosted]),
                    # Which reads it twice.
                    ("key", ["doctor", *hosted, "--probe", "--yes"]),
                    ("key", ["run", file, "--model-key-file", "key"])):
                plain = name.strip("'")
                self.assertEqual(warned(mode, *arguments), [
                    f"midwatch: warning: everybody on this machine may {word} "
                    f"{plain}, which holds secrets; `chmod 600 {name}` mends "
                    f"that"], arguments)
        # Its group is its owner's choice.
        self.assertEqual(warned(0o640, *run), [])
        self.assertEqual(warned(0o600, *run), [])

    def test_doctor_says_what_is_wrong_and_never_the_key(self):
        code, out, err = self.run_cli("doctor", "--output", "json")
        report = json.loads(out)
        self.assertEqual(code, 1 if report["problem"] else 0, out + err)
        topics = {finding["topic"] for finding in report["findings"]}
        self.assertLessEqual({"machine", "open files", "sandbox", "disk",
                              "flush", "database", "scheduler", "account",
                              "clock"}, topics)
        self.assertLessEqual({finding["level"]
                              for finding in report["findings"]},
                             {"ok", "warning", "problem"})
        key = "sk-a-key-that-nobody-may-see"
        code, out, err = self.run_cli("doctor", "--base-url",
                                      "http://127.0.0.1:1",
                                      env={"ANTHROPIC_API_KEY": key})
        self.assertEqual(code, 1)
        self.assertRegex(out, r"problem +account +cannot reach")
        self.assertNotIn(key, out + err)
        code, out, _ = self.run_cli("doctor", "--base-url", "http://x")
        self.assertEqual(code, 1)
        self.assertIn("there is no key for http://x", out)

    def test_probe_settles_what_the_start_protocol_assumes(self):
        _, line = self.start_node("harness", "--port", "0", "--data-dir", "h")
        url = line.split("serving ")[1].split()[0]
        probe = ["doctor", "--base-url", url, "--api-key-file", "h/api-key",
                 "--probe", "--model", "runbook"]
        # No terminal to ask: nothing is spent without a word.
        code, out, err = self.run_cli(*probe, stdin=subprocess.DEVNULL)
        self.assertEqual((code, out), (2, ""))
        self.assertIn("--yes", err)
        code, out, err = self.run_cli(*probe, "--yes", "--output", "json")
        found = {finding["topic"]: finding
                 for finding in json.loads(out)["findings"]}
        for topic, says in (("idle", "costs nothing"),
                            ("archived", "refuses events"),
                            ("running", "refuses to be archived"),
                            ("lists", "is listed after"),
                            ("limits", "not settled"),
                            ("stream", "was still open"),
                            ("cost", "the probe cost $0.0")):
            self.assertEqual(found[topic]["level"], "ok", found[topic])
            self.assertIn(says, found[topic]["says"])
        self.assertNotIn("clean-up", found)
        self.assertNotIn((self.path / "h/api-key").read_text().strip(),
                         out + err)

    def probe(self, folder, harness, *options):
        """What the probe found at a harness with these options, by topic."""
        _, line = self.start_node("harness", "--port", "0", "--data-dir",
                                  folder, *harness)
        code, out, err = self.run_cli(
            "doctor", "--base-url", line.split("serving ")[1].split()[0],
            "--api-key-file", f"{folder}/api-key", "--probe", "--model",
            "runbook", "--yes", "--output", "json", *options)
        found = {finding["topic"]: finding
                 for finding in json.loads(out)["findings"]}
        self.assertNotIn("clean-up", found, err)
        self.assertNotIn("probe", found, err)
        return {topic: finding["says"] for topic, finding in found.items()}

    def test_probe_settles_whether_events_share_the_limit_of_creates(self):
        found = self.probe("shared", ["--limits", "create=120,burst=30"],
                           "--limits")
        self.assertRegex(found["write limit"],
                         r"after \d+ events in .* s the service refused one, "
                         r"and so was a create right after it")
        found = self.probe("own", ["--limits", "create=120,write=300,burst=30"],
                           "--limits")
        self.assertRegex(found["write limit"], "have a limit of their own$")
        found = self.probe("none", [], "--limits")
        self.assertRegex(found["write limit"],
                         "^not settled: of 1500 events in .* none was refused$")
        self.assertNotIn("limits", found)
        self.assertIn("the probe cost $0.0", found["cost"])

    def test_probe_settles_how_long_a_stream_lives(self):
        found = self.probe("open", [], "--stream-age", "2s")
        self.assertEqual(found["stream age"],
                         "one of an idle session was still open after 2.0 s")
        self.assertNotIn("not settled", found["stream"])
        found = self.probe("cut", ["--faults", "cut=1s"], "--stream-age", "50s")
        self.assertRegex(found["stream age"],
                         r"^one of an idle session ended after \d\.\d s \(.+\); "
                         "streams are reopened when they end$")
        for wrong in ("0s", "25h", "long", "-1s"):
            code, out, err = self.run_cli(
                "doctor", "--base-url", "http://127.0.0.1:1", "--probe",
                "--yes", f"--stream-age={wrong}")
            self.assertEqual((code, out), (2, ""))
            self.assertIn("from 1s to 24h", err)
        for alone in ("--limits", "--stream-age=1m"):
            self.assertEqual(self.run_cli("doctor", alone)[0], 2)

    def test_probe_that_is_interrupted_tells_how_long_the_stream_lived(self):
        _, line = self.start_node("harness", "--port", "0", "--data-dir", "h")
        probe = self.start(
            "doctor", "--base-url", line.split("serving ")[1].split()[0],
            "--api-key-file", "h/api-key", "--probe", "--model", "runbook",
            "--yes", "--stream-age", "24h")
        time.sleep(1)
        probe.send_signal(signal.SIGINT)
        out, err = probe.communicate(timeout=60)
        self.assertRegex(out, r"stream age +one of an idle session was still "
                              r"open after \d\.\d s")
        self.assertRegex(out, r"cost +the probe cost")

    def test_a_label_has_one_value(self):
        code, out, err = self.run_cli("task", "cancel", "--label", "team=a",
                                      "--label", "team=b")
        self.assertEqual((code, out), (2, ""))
        self.assertIn("'team' has two values", err)

    def test_a_schedule_of_a_file_of_tasks(self):
        head = {"batch": {"name": "n", "defaults": {
            "agent": {"name": "a", "model": "runbook"}, "prompt": "p"}}}
        lines = [head] + [{"name": f"t{i}"} for i in range(3)]
        (self.path / "b.jsonl").write_text(
            "".join(json.dumps(line) + "\n" for line in lines))
        code, out, err = self.run_cli(
            "schedule", "create", "b.jsonl", "--cron", "@daily", "--zone",
            "UTC", "--output", "json")
        self.assertEqual(code, 0, err)
        self.assertEqual(json.loads(out)["tasks"], 3)

    def create_schedule(self, *more):
        return self.run_cli("schedule", "create", self.write(), "--name",
                            "nightly", "--cron", "0 2 * * *", "--zone",
                            "Europe/Berlin", *more)

    def test_a_schedule_from_its_making_to_its_end(self):
        code, out, err = self.create_schedule("--jitter", "5m")
        self.assertEqual(code, 0, err)
        self.assertRegex(out, r"schedule +nightly\ncron +0 2 \* \* \*\n"
                              r"zone +Europe/Berlin\nmissed +once\n"
                              r"overlap +skip\njitter +up to 5 m 00 s\n")
        self.assertEqual(len(re.findall(r"T0[23]:00:00\+0[12]:00", out)), 5)
        # Nobody is there to fire it.
        self.assertIn(f"fire while one does: `{MIDWATCH} scheduler`", err)

        # Again it is the same; another one is not taken for it.
        again = self.create_schedule("--jitter", "5m")
        self.assertEqual(again[:2], (0, out))
        code, _, err = self.create_schedule("--missed", "all")
        self.assertEqual(code, 2)
        self.assertIn("there is a schedule named 'nightly' with other content",
                      err)
        code, out, _ = self.create_schedule(
            "--missed", "all", "--overlap", "cancel-old", "--replace",
            "--output", "json")
        schedule = json.loads(out)
        self.assertEqual(
            (code, schedule["missed"], schedule["overlap"], schedule["tasks"],
             len(schedule["next_due_at"]), schedule["firings"]),
            (0, "all", "cancel-old", 2, 5, []))

        code, run, _ = self.run_cli("schedule", "run", "nightly")
        self.assertEqual(code, 0)
        batch = json.loads(self.run_cli("batch", "get", run.strip(),
                                        "--output", "json")[1])
        self.assertRegex(batch["name"],
                         r"^nightly-run-20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d$")
        self.assertEqual((batch["state"], batch["counts"]["queued"]),
                         ("sealed", 2))
        fired = json.loads(self.run_cli("--output", "json", "schedule", "get",
                                        "nightly")[1])["firings"]
        self.assertEqual([(firing["state"], firing["by_hand"],
                           firing["batch_id"]) for firing in fired],
                         [("fired", True, batch["batch_id"])])

        code, out, _ = self.run_cli("schedule", "pause", "nightly", "--reason",
                                    "holidays")
        self.assertEqual(code, 0)
        self.assertRegex(out, r"paused +holidays")
        self.assertNotIn("next", out)
        out = self.run_cli("schedule", "list")[1]
        self.assertRegex(out, r"SCHEDULE +CRON +ZONE +TASKS +NEXT +LAST\n"
                              r"nightly +0 2 \* \* \* +Europe/Berlin +2 +"
                              r"paused +fired nightly-run-")
        out = self.run_cli("schedule", "pause", "nightly", "--until",
                           "2999-01-07")[1]
        self.assertRegex(out, r"paused +yes; until 2999-01-0\dT")
        self.assertRegex(out, r"next +2999-01-0\d")
        self.assertRegex(self.run_cli("schedule", "list")[1],
                         r" 2 +paused until 2999-01-0")
        code, out, err = self.run_cli("schedule", "pause", "nightly", "--until",
                                      "2020-01-07")
        self.assertEqual((code, out), (2, ""))
        self.assertIn("--until is '2020-01-07', which is over", err)
        self.assertRegex(self.run_cli("schedule", "resume", "nightly")[1],
                         r"next +20\d\d-")
        listed = self.run_cli("schedule", "list", "--output", "json")[1]
        self.assertEqual([json.loads(line)["name"]
                          for line in listed.splitlines()], ["nightly"])
        self.assertEqual(self.run_cli("schedule", "delete", "nightly")[:2],
                         (0, ""))
        code, out, err = self.run_cli("schedule", "get", "nightly")
        self.assertEqual((code, out), (2, ""))
        self.assertIn("there is no schedule named 'nightly'", err)
        # What it fired stays.
        self.assertEqual(self.run_cli("batch", "get", run.strip())[0], 0)

    def test_schedules_that_cannot_be_are_refused(self):
        for cron, zone, said in (
                ("0 25 * * *", "UTC", "the hour at column 3 is '25'; expected "
                                      "0 to 23"),
                ("0 2 30 2 *", "UTC", "which never comes in the months '2'"),
                ("0 2 * *", "UTC", "has 4 fields; expected five"),
                ("0 2 * * *", "Europe/Atlantis", "is no IANA time zone")):
            code, out, err = self.run_cli(
                "schedule", "create", self.write(), "--cron", cron, "--zone",
                zone)
            self.assertEqual((code, out), (2, ""))
            self.assertIn(said, err)
        for more in (["--jitter", "2h"], ["--jitter", "soon"],
                     ["--missed", "never"], ["--overlap", "both"]):
            self.assertEqual(self.create_schedule(*more)[0], 2, more)
        self.assertEqual(self.run_cli("schedule", "list")[1].splitlines()[1:],
                         [])
        help_text = self.run_cli("schedule", "create", "--help")[1]
        self.assertIn("one that comes twice fires the first time", help_text)

    def plan(self, *arguments):
        code, out, err = self.run_cli("--output", "json", "plan", *arguments)
        return code, json.loads(out) if out else err

    def test_a_plan_is_made_of_what_ran_before(self):
        file = self.write()
        # Nothing is known, and nothing is made.
        code, plan = self.plan(file, "--assume-duration", "90s")
        self.assertEqual(code, 0)
        self.assertFalse((self.path / "midwatch").exists())
        self.assertEqual(plan["typical"]["tasks_run"], 2)
        kind, = plan["with"]["kinds"]
        self.assertTrue(kind["assumed"])
        self.assertEqual(plan["typical"]["cost_usd_micros"], 2 * 100_000)
        self.assertGreaterEqual(plan["typical"]["seconds"], 90)
        self.assertLess(plan["typical"]["seconds"], 100)
        self.assertEqual([task["name"] for task in plan["first_tasks"]],
                         ["one", "two"])

        self.assertEqual(self.run_cli("run", file)[0], 0)
        code, plan = self.plan(file, "--limits", "none", "--svg", "plan.svg")
        self.assertEqual(code, 0)
        kind, = plan["with"]["kinds"]
        self.assertEqual((kind["assumed"], kind["samples"]), (False, 2))
        self.assertLess(plan["typical"]["cost_usd_micros"], 100_000)
        self.assertLess(plan["typical"]["seconds"], 60)
        self.assertEqual(plan["typical"]["requests"],
                         {"create": 2, "write": 4, "read": 2, "files": 4})
        chart = (self.path / "plan.svg").read_text()
        self.assertTrue(chart.startswith("<svg "))
        self.assertIn("US dollars spent", chart)
        text = self.run_cli("plan", file)[1]
        self.assertRegex(text, r"batch: 2 tasks planned, nothing submitted")
        self.assertRegex(text, r"fits +yes: all run\n")
        self.assertRegex(text, r"2 tasks like one: .* \(of 2 that succeeded\)")
        # Nothing was submitted.
        listed = self.run_cli("--output", "json", "batch", "list")[1]
        self.assertEqual(len(listed.splitlines()), 1)

    def test_a_plan_says_what_would_not_run(self):
        file = self.write()
        text = (self.path / file).read_text()
        (self.path / file).write_text(
            text.replace("name: batch\n", "name: batch\nbudget: $0.15\n")
            .replace("max_cost", "deadline: 60s\n  max_cost"))
        code, plan = self.plan(file, "--assume-cost", "$0.10")
        self.assertEqual(code, 1)
        self.assertFalse(plan["fits"])
        self.assertEqual(plan["typical"]["tasks_without_room"], 1)
        self.assertEqual(plan["typical"]["tasks_late"], 1)
        out = self.run_cli("plan", file, "--assume-cost", "$0.10")[1]
        self.assertIn("no: 1 task would not run, since the budget of the batch "
                      "has no room for the $0.10 that each sets aside; 1 task "
                      "would end after the deadline", out)
        self.assertIn("ASSUMED $0.10 and 10 m 00 s each", out)

    def test_bad_plans_are_bad_input(self):
        file = self.write()
        for more, said in ((["--limits", "much"], "--limits: much: expected"),
                           (["--assume-cost", "lots"], "--assume-cost: "),
                           (["--assume-duration", "0s"],
                            "--assume-duration is '0s'; expected 1s to 720h"),
                           (["--start", "then"], "--start is"),
                           (["--svg", "no/such/folder.svg"],
                            "cannot write no/such/folder.svg")):
            code, _, err = self.run_cli("plan", file, *more)
            self.assertEqual(code, 2, more)
            self.assertIn(said, err)
        (self.path / "bad.yaml").write_text("name: x\n")
        code, out, err = self.run_cli("plan", "bad.yaml")
        self.assertEqual((code, out), (2, ""))
        self.assertEqual(err,
                         self.run_cli("run", "--dry-run", "bad.yaml")[2])

    def test_a_task_says_why_it_waits(self):
        batch = self.run_cli("submit", self.write())[1].strip()
        task = json.loads(self.run_cli(
            "--output", "json", "task", "list", "--batch", batch)[1]
            .splitlines()[1])["task_id"]
        self.assertEqual(
            self.run_cli("task", "why", task)[:2],
            (0, "No worker for account default is connected.\n"
                "Predicted start: unknown: a worker has to be started\n"))
        self.run_cli("batch", "pause", batch, "--reason", "look first")
        why = json.loads(
            self.run_cli("--output", "json", "task", "why", task)[1])
        self.assertEqual((why["reason"], why["state"], why["tasks_before"]),
                         ("batch paused", "queued", 1))
        self.assertEqual(why["sentence"],
                         "Batch batch is paused until somebody resumes it: "
                         "look first.")
        self.run_cli("task", "cancel", task, "--reason", "not needed")
        self.assertRegex(self.run_cli("task", "why", task)[1],
                         r"^It was cancelled at \d\d:\d\d:\d\d( UTC)?: "
                         r"not needed\.\n$")

    def test_unknown_ids_are_bad_input(self):
        for arguments in (["batch", "get", "nonsense"],
                          ["task", "get", "nonsense"],
                          ["task", "why", "nonsense"],
                          ["task", "get", "01ARZ3NDEKTSV4RRFFQ69G5FAV"],
                          ["task", "list", "--state", "lost"],
                          ["schedule", "run", "nonsense"],
                          ["schedule", "delete", "nonsense"],
                          ["export", "nonsense"]):
            code, out, err = self.run_cli(*arguments)
            self.assertEqual((code, out), (2, ""), (arguments, err))
            self.assertTrue(err.startswith("midwatch: "), err)


if __name__ == "__main__":
    unittest.main()
