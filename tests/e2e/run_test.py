#!/usr/bin/env python3
"""`midwatch run` as its user sees it: exit codes, what it prints, what it leaves,
and what becomes of a batch whose run was killed or interrupted.

  run_test.py MIDWATCH [TEST ...]
"""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import cluster as mw

BINARY = None  # of the command line

WRITE_OUTPUT = "echo result of {0} | tee /mnt/session/outputs/out.txt"
RUN_SECONDS = 240


class RunTest(unittest.TestCase):
    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="midwatch-run-"))
        self.env = {name: value for name, value in os.environ.items()
                    if not name.startswith(("MIDWATCH", "ANTHROPIC"))}
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            print(f"what is left to look at: {self.folder}", flush=True)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    # ---- What the tests do ----

    def state(self, name="state"):
        return self.folder / name

    def command(self, *arguments):
        return [str(part) for part in
                (BINARY, "--state-dir", self.state(), *arguments)]

    def midwatch(self, *arguments, seconds=RUN_SECONDS):
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True,
            check=False, env=self.env, cwd=self.folder, timeout=seconds)

    def start(self, *arguments):
        """A command in the background; its output goes to a file."""
        out = (self.folder / "run.out").open("w")
        self.addCleanup(out.close)
        process = subprocess.Popen(
            self.command(*arguments), stdout=out, stderr=subprocess.STDOUT,
            env=self.env, cwd=self.folder)
        self.addCleanup(lambda: (process.kill(), process.wait()))
        return process

    def batch_file(self, prompts, **defaults):
        path = self.folder / "batch.json"
        mw.write_batch(path, "small", prompts, **defaults)
        return path

    def read_results(self, results):
        with (results / "results.jsonl").open(encoding="utf-8") as lines:
            return {task["name"]: task for task in map(json.loads, lines)}

    def check(self, results, prompts):
        names = self.folder / "names"
        names.write_text("".join(f"{name}\n" for name in prompts))
        return mw.run_checker(self.state() / "harness" / "harness.db",
                              results / "results.jsonl", names)

    def expect_code(self, done, code):
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)

    # ---- A batch to its end ----

    def test_ten_megabytes_in_and_out(self):
        filler = "All work and no play. " * (10_000_000 // 22)
        block = ("```sh\nyes | head -c 10000000 > "
                 "/mnt/session/outputs/out.txt\n```")
        path = self.folder / "batch.json"
        batch = {"name": "large",
                 "defaults": {"agent": {"name": "a", "model": "runbook", "tools":
                                        [{"type": "agent_toolset_20260401"}]},
                              "prompt": f"{filler}\n{block}\n",
                              "expect": {"files": ["out.txt"]}},
                 "tasks": [{"name": "one"}]}
        path.write_text(json.dumps(batch))
        results = self.folder / "results"
        self.expect_code(self.midwatch("run", path, "--results", results), 0)
        written = results / "outputs" / "one" / "out.txt"
        self.assertEqual(written.stat().st_size, 10_000_000)
        # Past the limit: refused before anything is submitted, with its place.
        batch["defaults"]["prompt"] = filler * 2
        path.write_text(json.dumps(batch))
        done = self.midwatch("run", path)
        self.expect_code(done, 2)
        self.assertIn("at most 12582912", done.stderr)
        self.assertIn("batch.json:1:", done.stderr)

    def test_all_succeed(self):
        prompts = {name: ["echo begin", WRITE_OUTPUT.format(name)]
                   for name in ("apple", "pear", "with/slash")}
        results = self.folder / "results"
        done = self.midwatch("run", self.batch_file(prompts), "--results",
                             results)
        self.expect_code(done, 0)
        self.assertRegex(done.stdout, r"small: 3 tasks, batch [0-9A-Z]{26}\n")
        self.assertRegex(done.stdout, r"\n  succeeded +3\n")
        # Two tool calls and the report, a cent each.
        self.assertRegex(done.stdout, r"\n  cost +\$0\.09\n")
        self.assertTrue(done.stdout.endswith(f"\nresults in {results}\n"))
        tasks = self.read_results(results)
        self.assertEqual(set(tasks), set(prompts))
        for name, task in tasks.items():
            self.assertEqual(task["state"], "succeeded")
            self.assertEqual(task["result"], f"result of {name}")
            self.assertEqual(task["charged_usd_micros"], 30000)
        files = {str(path.relative_to(results)): path.read_text()
                 for path in (results / "outputs").rglob("*")
                 if path.is_file()}
        self.assertEqual(files, {
            "outputs/apple/out.txt": "result of apple\n",
            "outputs/pear/out.txt": "result of pear\n",
            "outputs/with%2Fslash/out.txt": "result of with/slash\n"})
        self.check(results, prompts)

    def test_results_have_a_place_without_being_given_one(self):
        prompts = {"one": [WRITE_OUTPUT.format("one")]}
        done = self.midwatch("run", self.batch_file(prompts))
        self.expect_code(done, 0)
        place = re.search(r"\nresults in (midwatch-results/small-.+)\n",
                          done.stdout)
        self.assertTrue(place, done.stdout)
        self.assertEqual(set(self.read_results(self.folder / place[1])),
                         {"one"})

    def test_output_json(self):
        prompts = {"one": [WRITE_OUTPUT.format("one")]}
        done = self.midwatch("--output", "json", "run",
                             self.batch_file(prompts))
        self.expect_code(done, 0)
        said = json.loads(done.stdout)
        self.assertEqual(said["batch"]["state"], "done")
        self.assertEqual(said["batch"]["counts"]["succeeded"], 1)

    def test_failures_are_grouped(self):
        prompts = {"good": [WRITE_OUTPUT.format("good")],
                   "bad-1": ["exit 3"], "bad-2": ["exit 4"]}
        results = self.folder / "results"
        done = self.midwatch(
            "run", self.batch_file(prompts, retry={"max_failures": 1}),
            "--results", results)
        self.expect_code(done, 1)
        self.assertRegex(done.stdout, r"\n  succeeded +1\n  failed +2\n")
        self.assertRegex(
            done.stdout,
            r"\nWhat failed\n +2  task  expected output missing: out\.txt.*\n"
            r" +such as bad-[12], bad-[12]\n")
        tasks = self.read_results(results)
        self.assertEqual({name: task["state"] for name, task in tasks.items()},
                         {"good": "succeeded", "bad-1": "failed",
                          "bad-2": "failed"})
        self.assertEqual(tasks["bad-1"]["failures"], 1)
        self.assertEqual(tasks["bad-1"]["failure_class"], "task")
        self.check(results, prompts)

    # ---- Tasks that need others ----

    def write_tasks(self, tasks, **defaults):
        path = self.folder / "batch.json"
        path.write_text(json.dumps(
            {"name": "needy",
             "defaults": {"agent": {"name": "a", "model": "runbook", "tools":
                                    [{"type": "agent_toolset_20260401"}]},
                          "prompt": "```sh\n{{run}}\n```",
                          "retry": {"max_failures": 1}, **defaults},
             "tasks": tasks}))
        return path

    def test_what_tasks_leave_reaches_those_that_need_them(self):
        leave = ("mkdir -p /mnt/session/outputs; echo of {0} > "
                 "/mnt/session/outputs/part.txt; echo I am {0}")
        merge = ("```sh\nmkdir -p /mnt/session/outputs\n"
                 "cat /mnt/session/uploads/parts/*/part.txt > "
                 "/mnt/session/outputs/all.txt\n"
                 "cat <<'END' | grep -c '^[a-z]*: I am'\n"
                 "{{tasks.all.messages}}\nEND\n```")
        path = self.write_tasks([
            {"name": "merge", "needs": "all", "prompt": merge,
             "expect": {"files": ["all.txt"]},
             "inputs": [{"from": "all", "path": "part.txt", "mount": "parts"}]},
            {"name": "pie", "needs": ["apple", "pear"],
             "inputs": [{"from": "apple", "mount": "fruit"}],
             "prompt": "```sh\nmkdir -p /mnt/session/outputs\n"
                       "cp /mnt/session/uploads/fruit/part.txt "
                       "/mnt/session/outputs/\n```\n"
                       "They said: {{tasks.pear.message}}\n"
                       "```sh\necho I am a pie\n```"},
            {"name": "apple", "parameters": {"run": leave.format("apple")}},
            {"name": "pear", "parameters": {"run": leave.format("pear")}}])
        results = self.folder / "results"
        done = self.midwatch("run", path, "--results", results)
        self.expect_code(done, 0)
        tasks = self.read_results(results)
        self.assertEqual(tasks["merge"]["result"], "3")
        merged = results / "outputs" / "merge" / "all.txt"
        self.assertEqual(merged.read_text(),
                         "of apple\nof pear\nof apple\n")
        ends = {name: task["ended_at"] for name, task in tasks.items()}
        self.assertLess(ends["apple"], ends["pie"])
        self.assertEqual(max(ends, key=ends.get), "merge")

    def test_what_needs_a_failure_is_skipped(self):
        def task(name, run="echo done", **more):
            return {"name": name, "parameters": {"run": run}, **more}

        path = self.write_tasks(
            [task("bad", "exit 3"), task("next", needs="bad"),
             task("last", needs=["next"]),
             task("anyway", needs=["bad"], on_need_failure="run_anyway",
                  expect={"files": []})],
            expect={"files": ["never.txt"]})
        results = self.folder / "results"
        done = self.midwatch("run", path, "--results", results)
        self.expect_code(done, 1)
        self.assertRegex(done.stdout,
                         r"\n  succeeded +1\n  failed +1\n  skipped +2\n")
        self.assertIn("needs 'bad', which failed", done.stdout)
        tasks = self.read_results(results)
        self.assertEqual({name: task["state"] for name, task in tasks.items()},
                         {"bad": "failed", "next": "skipped",
                          "last": "skipped", "anyway": "succeeded"})
        self.assertEqual(tasks["last"]["reason"],
                         "needs 'next', which was skipped")
        listed = self.midwatch("task", "list", "--state", "skipped").stdout
        self.assertIn("needs 'next', which was skipped", listed)

    # ---- Bad input ----

    def test_stands_still_for_a_person_and_for_money(self):
        asks = {"type": "agent_toolset_20260401", "default_config":
                {"permission_policy": {"type": "always_ask"}}}
        path = self.folder / "batch.json"
        path.write_text(json.dumps(
            {"name": "still", "budget": "0.10",
             "defaults": {"agent": {"name": "a", "model": "runbook",
                                    "tools": [asks]},
                          "prompt": "```sh\necho ran\n```",
                          "max_cost": "0.10"},
             "tasks": [{"name": name} for name in ("a", "b", "c")]}))
        done = self.midwatch("run", path, "--results", self.folder / "results")
        self.expect_code(done, 3)
        said = done.stdout + done.stderr
        self.assertRegex(said, r"\n  waiting +1\n  queued +2\n")
        self.assertIn("What waits for you", said)
        self.assertIn("waits for a budget", said)
        self.assertNotIn("What failed", said)

    def test_stands_still_where_others_need_what_waits(self):
        asks = {"type": "agent_toolset_20260401", "default_config":
                {"permission_policy": {"type": "always_ask"}}}
        path = self.folder / "batch.json"
        path.write_text(json.dumps(
            {"name": "still",
             "defaults": {"agent": {"name": "a", "model": "runbook",
                                    "tools": [asks]},
                          "prompt": "```sh\necho ran\n```"},
             "tasks": [{"name": "a"}, {"name": "b", "needs": "a"}]}))
        done = self.midwatch("run", path, "--results", self.folder / "results")
        self.expect_code(done, 3)
        self.assertRegex(done.stdout, r"\n  waiting +1\n  blocked +1\n")
        blocked = self.midwatch("task", "list", "--state", "blocked").stdout
        self.assertIn("waits for a", blocked)

    def test_bad_files(self):
        agent = "agent: {name: a, model: runbook}"
        good = f"name: n\ndefaults: {{prompt: p, {agent}}}\n"
        cases = {
            "unknown key": (good + "tusks: [{name: a}]\n", 3, "'tusks'"),
            "wrong type": (good + "tasks: {name: a}\n", 3, "expected a list"),
            "no tasks": (good + "tasks: []\n", None, "0 tasks"),
            "same name twice": (good + "tasks:\n- name: a\n- name: a\n", 5,
                                "taken already by line 4"),
            "missing input": (
                good + "tasks:\n- name: a\n  inputs: [{path: none, mount: m}]\n",
                5,
                "none"),
            "negative cost": (
                f"name: n\ndefaults:\n  prompt: p\n  {agent}\n"
                "  max_cost: -1\ntasks: [{name: a}]\n", 5, "max_cost"),
            "not UTF-8": (good + "tasks:\n- name: \udcff\n", 4, "UTF-8"),
            "not YAML": (good + "tasks: [\n", None, ""),
        }
        path = self.folder / "bad.yaml"
        for name, (text, line, word) in cases.items():
            with self.subTest(name):
                path.write_bytes(text.encode(errors="surrogateescape"))
                done = self.midwatch("run", path)
                self.expect_code(done, 2)
                place = re.match(rf"midwatch: {path}:(\d+):\d+: ", done.stderr)
                self.assertTrue(place, done.stderr)
                if line is not None:
                    self.assertEqual(int(place[1]), line, done.stderr)
                self.assertIn(word, done.stderr)
                self.assertEqual(done.stdout, "")
        self.assertEqual(self.midwatch("batch", "list", "--output",
                                       "json").stdout, "")

    def test_bad_rehearsals(self):
        batch_file = self.batch_file({"t": ["true"]})
        cases = {
            ("--harness-faults", "429=0.1,bogus=1"):
                '--harness-faults: fault 2, "bogus=1": expected 429',
            ("--harness-limits", "create=0"): "--harness-limits: create=0",
            ("--harness-spend-cap", "much"): "--harness-spend-cap: ",
        }
        for options, words in cases.items():
            with self.subTest(options):
                done = self.midwatch("run", batch_file, *options)
                self.expect_code(done, 2)
                self.assertIn(words, done.stderr)

    def test_a_rehearsal_goes_well(self):
        prompts = {f"t{number}": [WRITE_OUTPUT.format(number)]
                   for number in range(6)}
        results = self.folder / "results"
        done = self.midwatch(
            "run", self.batch_file(prompts), "--results", results,
            "--harness-limits", "create=600,read=1200,burst=5",
            "--harness-faults", "cut=2s,double=0.2,slow=0.2,overshoot=0.5")
        self.expect_code(done, 0)
        self.check(results, prompts)

    def test_missing_file(self):
        done = self.midwatch("run", "no-such-file.yaml")
        self.expect_code(done, 2)
        self.assertRegex(done.stderr, r"^midwatch: .*no-such-file\.yaml.*\n$")

    # ---- Cut short, and gone on with ----

    def run_in_the_middle(self, results):
        """A run of which some tasks are settled and some are running."""
        self.prompts = {
            f"t{number:02}": [f"sleep 0.{number % 5 + 2}",
                              WRITE_OUTPUT.format(number)]
            for number in range(24)}
        self.file = self.batch_file(self.prompts)
        process = self.start("run", self.file, "--results", results)

        def in_the_middle():
            self.assertIsNone(process.poll(), self.printed())
            return self.printed().count("\nsucceeded ") >= 5

        mw.wait_until(in_the_middle, 60, "a run in full swing")
        return process

    def printed(self):
        return (self.folder / "run.out").read_text()

    def finish_and_check(self, results):
        done = self.midwatch("run", self.file, "--results", results)
        self.expect_code(done, 0)
        self.assertIn("24 tasks, continuing batch ", done.stdout)
        self.assertRegex(done.stdout, r"\n  succeeded +24\n")
        for task in self.check(results, self.prompts):
            self.assertEqual(task["failures"], 0)
        listed = self.midwatch("batch", "list", "--output", "json").stdout
        self.assertEqual(len(listed.splitlines()), 1)

    def test_killed_and_run_again(self):
        results = self.folder / "results"
        process = self.run_in_the_middle(results)
        process.kill()
        process.wait()
        self.finish_and_check(results)

    def test_interrupted_and_run_again(self):
        results = self.folder / "results"
        process = self.run_in_the_middle(results)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(60), 130, self.printed())
        self.assertRegex(self.printed(),
                         rf"to go on: +\S*midwatch run {re.escape(str(self.file))}")
        self.assertRegex(self.printed(),
                         r"to end it: +\S*midwatch batch cancel [0-9A-Z]{26}")
        began = time.monotonic()
        self.finish_and_check(results)
        # Handed back, not lapsed: nothing waits for the old worker's term.
        self.assertLess(time.monotonic() - began, 25)

    def test_interrupted_and_cancelled(self):
        process = self.run_in_the_middle(self.folder / "results")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(60), 130, self.printed())
        batch_id = re.search(r"batch cancel ([0-9A-Z]{26})",
                             self.printed())[1]
        self.expect_code(self.midwatch("batch", "cancel", batch_id), 0)
        # A new batch, since the old one is on its way out.
        done = self.midwatch("run", self.file)
        self.expect_code(done, 0)
        self.assertRegex(done.stdout, r"24 tasks, batch [0-9A-Z]{26}\n")

    # ---- Out of reach ----

    def expect_unreachable(self, *arguments, env=()):
        self.env.update(env)
        began = time.monotonic()
        done = self.midwatch(*arguments, seconds=60)
        took = time.monotonic() - began
        self.expect_code(done, 4)
        self.assertRegex(done.stderr, r"^midwatch: [^\n]+\n$")
        self.assertLess(took, 15, done.stderr)
        return done.stderr

    def test_service_unreachable(self):
        file = self.batch_file({"one": ["true"]})
        key = {"ANTHROPIC_API_KEY": "sk-wrong"}
        closed = f"http://127.0.0.1:{mw.free_port()}"
        said = self.expect_unreachable("run", file, "--base-url", closed,
                                       env=key)
        self.assertIn(f"cannot reach {closed}", said)
        self.assertNotIn("sk-wrong", said)
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(8)
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            said = self.expect_unreachable("run", file, "--base-url", url,
                                           env=key)
            self.assertIn(url, said)

    def test_service_refuses_the_key(self):
        harness = mw.Cluster(BINARY, self.folder, workers=0)["harness"]
        harness.start()
        self.addCleanup(harness.stop)
        line = mw.wait_until(lambda: harness.said("^midwatch harness"), 60,
                             "the harness")[0]
        url = re.search(r"http://[0-9.:]+", line)[0]
        said = self.expect_unreachable(
            "run", self.batch_file({"one": ["true"]}), "--base-url", url,
            env={"ANTHROPIC_API_KEY": "sk-wrong"})
        self.assertIn("refuses the key", said)

    def test_no_key(self):
        done = self.midwatch("run", self.batch_file({"one": ["true"]}),
                             "--base-url", "http://127.0.0.1:1")
        self.expect_code(done, 2)
        self.assertIn("ANTHROPIC_API_KEY", done.stderr)

    def test_scheduler_unreachable(self):
        server = f"127.0.0.1:{mw.free_port()}"
        said = self.expect_unreachable("--server", server, "batch", "list")
        self.assertIn(server, said)
        self.expect_unreachable("--server", server, "submit",
                                self.batch_file({"one": ["true"]}))


if __name__ == "__main__":
    BINARY = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main(verbosity=2)
