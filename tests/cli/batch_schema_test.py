"""docs/batch.schema.json says what the reader of batch files says.

Needs Debian's python3-jsonschema and python3-yaml.
"""

import copy
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import jsonschema
import yaml

MIDWATCH = pathlib.Path(sys.argv.pop(1)).resolve()
ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs/batch.schema.json").read_text())
DEFS = SCHEMA["$defs"]

BASE = {"name": "n", "params": {"p": "3"},
        "defaults": {"agent": {"name": "a", "model": "m"}, "prompt": "hello"},
        "tasks": [{"name": "one"}]}
GONE = object()
ROWS = {"name": "{{id}}", "csv": "rows.csv"}

# (where in BASE, what is put there)
GOOD = [
    (("name",), 3), (("name",), "n {{p}}"), (("queue",), "q"),
    (("tenant",), "t"), (("account",), "a"),
    (("max_running",), 0), (("max_running",), "4"),
    (("max_running",), "{{p}}"),
    (("budget",), 0.5), (("budget",), "$5"), (("budget",), "{{p}}"),
    (("canary",), {"tasks": 5, "min_success": 0.8, "max_cost": "$3"}),
    (("canary",), {"tasks": "{{p}}", "min_success": ".5"}),
    (("canary",), {"tasks": 1000, "min_success": 1}),
    (("stop_when",), {"failed": 20}),
    (("stop_when",), {"failed_ratio": "0.3", "after": 50, "failed": "{{p}}"}),
    (("defaults", "agent"), "agent_1"),
    (("defaults", "agent", "tools"), [{"type": "x"}]),
    (("defaults", "environment"), "env_1"),
    (("defaults", "environment"), {"name": "e", "config": {"type": "cloud"}}),
    (("defaults", "max_cost"), "$0.01"), (("defaults", "max_cost"), 1000000),
    (("defaults", "retry"), {"max_failures": 1, "max_starts": 1000,
                             "retry_refusals": True}),
    (("defaults", "retry"), {"classes": {
        "service": {"max_failures": 5, "backoff": "30s", "backoff_max": "1h"},
        "task": {"max_failures": "{{p}}"}, "refusal": {}}}),
    (("defaults", "timeouts"), {"start": "90s", "idle": "1h30m",
                                "total": "1.5h"}),
    (("defaults", "expect"), {"files": ["a/b.txt", "{{p}}.txt"]}),
    (("defaults", "expect"), {"json_schema": {
        "a.json": {"type": "object"}, "{{p}}.json": "schema.yaml"},
        "message_schema": {"enum": [1, "x", None]}}),
    (("defaults", "expect"), {"check": "compiles"}),
    (("on_finish",), {"url": "https://example.com/x?y={{p}}"}),
    (("on_risk",), {"url": "https://example.com/x"}),
    (("on_failure",), {"url": "http://127.0.0.1:9000/", "secret": "s"}),
    (("defaults", "priority"), 0), (("defaults", "priority"), "9"),
    (("defaults", "concurrency_key"), "k"),
    (("defaults", "labels"), {"example.com/kind": "x"}),
    (("defaults", "answers"), "deny"), (("defaults", "on_budget"), "ask"),
    (("defaults", "start"), "one_call"), (("defaults", "deadline"), "6h"),
    (("defaults", "delay"), "0"), (("defaults", "delay"), "8784h"),
    (("defaults", "start_after"), "2026-12-01T06:00:00Z"),
    (("defaults", "start_after"), "2026-12-01T06:00:00.5+01:00"),
    (("defaults", "expires_after"), "90m"),
    (("defaults", "unique"), {"key": "k"}),
    (("defaults", "unique"), {"key": "{{p}}", "while": "unfinished"}),
    (("defaults", "unique"), {"key": 3, "for": "24h"}),
    (("tasks", 0, "delay"), "1h"), (("tasks", 0, "expires_after"), "1s"),
    (("tasks", 0, "start_after"), "2026-12-01T06:00:00Z"),
    (("foreach",), {**ROWS, "delay": "10m", "expires_after": "1h"}),
    (("tasks", 0, "priority"), 0), (("tasks", 0, "priority"), "9"),
    (("tasks", 0, "max_cost"), "$0.05"), (("tasks", 0, "max_cost"), 2),
    (("tasks", 0, "retry"), {"max_failures": 1,
                             "classes": {"task": {"backoff": "1m"}}}),
    (("tasks", 0, "timeouts"), {"total": "8h"}),
    (("foreach",), {**ROWS, "priority": "{{index}}", "max_cost": "{{id}}",
                    "retry": {"max_starts": 2}, "timeouts": {"idle": "1h"}}),
    (("defaults", "answer_within"), "1s"), (("defaults", "max_repeats"), 2),
    (("tasks", 0, "parameters"), {"a": 1, "b": True, "c": "x"}),
    (("tasks", 0, "inputs"), [{"path": "rows.csv", "mount": "a/b"}]),
    (("tasks", 0, "labels"), {"team": "x"}),
    (("tasks",), [{"name": "one"}, {"name": "two", "needs": "one"}]),
    (("tasks",), [{"name": "one"},
                  {"name": "two", "needs": ["one"], "expect": {"files": ["x"]},
                   "on_need_failure": "run_anyway",
                   "prompt": "so {{tasks.one.message}}",
                   "inputs": [{"from": "one", "path": "x", "mount": "y"},
                              {"from": "one", "mount": "z"}]}]),
    (("tasks",), [{"name": "one"}, {"name": "two", "needs": "all"}]),
    (("tasks", 0, "needs"), {"task": "01M8JB4J8W6CCG000000000001"}),
    (("foreach",), {**ROWS, "needs": "one", "prompt": "p {{id}}"}),
    (("foreach",), ROWS),
    (("foreach",), {"name": "{{n}}", "jsonl": "rows.jsonl", "limit": 1}),
    (("foreach",), {"name": "{{stem}}", "glob": "rows.c*", "limit": "{{p}}",
                    "parameters": {"a": "{{path}}"}, "labels": {"a": "b"},
                    "inputs": [{"path": "{{path}}", "mount": "m"}]}),
]

BAD = [
    (("name",), ""), (("name",), "x" * 201), (("name",), ["n"]),
    (("name",), GONE), (("defaults",), GONE), (("tasks",), GONE),
    (("queue",), {}), (("queue",), None),
    (("max_running",), -1), (("max_running",), 100001),
    (("max_running",), "many"), (("max_running",), 1.5),
    (("budget",), 0), (("budget",), -1), (("budget",), 1000001),
    (("budget",), "1e3"), (("budget",), "much"),
    (("params",), {"path": "x"}), (("params",), {"a b": "x"}),
    (("params",), ["a"]), (("params",), {"a": [1]}),
    (("defaults", "prompt"), ""), (("defaults", "prompt"), GONE),
    (("defaults", "agent"), {"name": "a"}), (("defaults", "agent"), ""),
    (("defaults", "agent", "sytem"), "s"),
    (("defaults", "environment"), {"config": {}}),
    (("defaults", "max_cost"), 0.001),
    (("defaults", "retry"), {"max_failures": 0}),
    (("defaults", "retry"), {"max_starts": 1001}),
    (("defaults", "retry"), {"retry_refusals": "maybe"}),
    (("canary",), {}), (("canary",), 5), (("canary",), {"tasks": 0}),
    (("canary",), {"tasks": 1001}), (("canary",), {"tasks": 1, "max_cost": 0}),
    (("canary",), {"tasks": 1, "min_success": 0}),
    (("canary",), {"tasks": 1, "min_success": 1.1}),
    (("canary",), {"tasks": 1, "min_success": "80%"}),
    (("stop_when",), {}), (("stop_when",), {"failed": 0}),
    (("stop_when",), {"failed_ratio": 0.3}), (("stop_when",), {"after": 3}),
    (("stop_when",), {"failed": 3, "after": 3}),
    (("stop_when",), {"failed_ratio": 2, "after": 3}),
    (("defaults", "retry"), {"classes": {"spec": {}}}),
    (("defaults", "retry"), {"classes": {"task": {"max_failures": 101}}}),
    (("defaults", "retry"), {"classes": {"task": {"backoff": "soon"}}}),
    (("defaults", "retry"), {"classes": {"task": {"backoff": 10}}}),
    (("defaults", "retry"), {"classes": ["task"]}),
    (("defaults", "timeouts"), {"total": 10}),
    (("defaults", "timeouts"), {"total": "inf"}),
    (("defaults", "expect"), {"files": "x"}),
    (("defaults", "expect"), {"files": ["/x"]}),
    (("defaults", "expect"), {"files": ["x"] * 101}),
    (("defaults", "expect"), {"json_schema": ["a.json"]}),
    (("defaults", "expect"), {"json_schema": {"/a.json": {}}}),
    (("defaults", "expect"), {"json_schema": {"a.json": {"pattern": "x"}}}),
    (("defaults", "expect"), {"message_schema": []}),
    (("defaults", "expect"), {"message_schema": ""}),
    (("defaults", "expect"), {"check": ""}),
    (("defaults", "expect"), {"check": ["./compiles.sh"]}),
    (("defaults", "expect"), {"command": ["./compiles.sh"]}),
    (("on_finish",), {"url": "ftp://example.com"}), (("on_finish",), {}),
    (("on_risk",), {"url": "https://example.com", "when": "late"}),
    (("on_finish",), "https://example.com"),
    (("on_finish",), {"url": "https://me:secret@example.com/"}),
    (("on_failure",), {"url": "https://example.com", "secret": ""}),
    (("defaults", "priority"), 10), (("defaults", "priority"), -1),
    (("defaults", "answers"), "maybe"), (("defaults", "on_budget"), "beg"),
    (("defaults", "start"), "at once"), (("defaults", "deadline"), "dawn"),
    (("defaults", "delay"), "soon"), (("defaults", "delay"), "-1h"),
    (("defaults", "start_after"), "tomorrow"),
    (("defaults", "start_after"), "2026-12-01"),
    (("defaults", "expires_after"), "never"),
    (("defaults", "unique"), {}), (("defaults", "unique"), "k"),
    (("defaults", "unique"), {"key": ""}),
    (("defaults", "unique"), {"key": "k", "while": "queued"}),
    (("defaults", "unique"), {"key": "k", "for": "long"}),
    (("defaults", "unique"), {"key": "k", "while": "unfinished",
                              "for": "1h"}),
    (("tasks", 0), {"name": "a", "delay": "1h",
                    "start_after": "2026-12-01T06:00:00Z"}),
    (("tasks", 0, "priority"), 10), (("tasks", 0, "priority"), [1]),
    (("tasks", 0, "max_cost"), 0), (("tasks", 0, "max_cost"), "much"),
    (("tasks", 0, "retry"), {"max_failures": 101}),
    (("tasks", 0, "timeouts"), {"total": "soon"}),
    (("foreach",), {**ROWS, "priority": -1}),
    (("defaults", "max_repeats"), 1), (("defaults", "nonsense"), 1),
    (("tasks",), {"name": "one"}), (("tasks",), ["one"]), (("tasks",), [{}]),
    (("tasks", 0, "nonsense"), 1),
    (("tasks", 0, "parameters"), {"a b": 1}),
    (("tasks", 0, "parameters"), {"a": [1]}),
    (("tasks", 0, "parameters"), {"a": None}),
    (("tasks", 0, "inputs"), {"path": "rows.csv", "mount": "m"}),
    (("tasks", 0, "inputs"), [{"path": "rows.csv"}]),
    (("tasks", 0, "inputs"), [{"path": "rows.csv", "mount": "/m"}]),
    (("tasks", 0, "labels"), {"a b": "c"}), (("tasks", 0, "labels"), {"a": ""}),
    (("tasks", 0, "labels"), {f"k{i}": "v" for i in range(17)}),
    (("tasks", 0, "needs"), {"a": "b"}), (("tasks", 0, "needs"), ["x"] * 101),
    (("tasks", 0, "needs"), [{"tusk": "x"}]),
    (("tasks", 0, "on_need_failure"), "skip"),
    (("tasks",), [{"name": "one"}, {"name": "two", "needs": "one",
                                    "on_need_failure": "cry"}]),
    (("tasks", 0, "inputs"), [{"mount": "m"}]),
    (("tasks", 0, "prompt"), ""),
    (("foreach",), {"name": "x"}), (("foreach",), {"csv": "rows.csv"}),
    (("foreach",), {**ROWS, "glob": "*"}), (("foreach",), {**ROWS, "limit": -1}),
    (("foreach",), {**ROWS, "nonsense": 1}),
]

# Where the reader and the schema list the keys of a map.
MAPS = [
    ((), SCHEMA),
    (("defaults",), DEFS["defaults"]),
    (("defaults", "agent"),
     DEFS["defaults"]["properties"]["agent"]["anyOf"][1]),
    (("defaults", "environment"),
     DEFS["defaults"]["properties"]["environment"]["anyOf"][1]),
    (("defaults", "retry"), DEFS["retry"]),
    (("defaults", "retry", "classes"),
     DEFS["retry"]["properties"]["classes"]),
    (("defaults", "retry", "classes", "task"), DEFS["class_retry"]),
    (("canary",), DEFS["canary"]),
    (("stop_when",), DEFS["stop_when"]),
    (("defaults", "timeouts"), DEFS["timeouts"]),
    (("tasks", 0, "retry"), DEFS["retry"]),
    (("tasks", 0, "timeouts"), DEFS["timeouts"]),
    (("defaults", "expect"), DEFS["expect"]),
    (("defaults", "unique"), DEFS["defaults"]["properties"]["unique"]),
    (("on_finish",), DEFS["hook"]), (("on_failure",), DEFS["hook"]),
    (("on_risk",), DEFS["hook"]),
    (("tasks", 0), DEFS["task"]),
    (("tasks", 0, "inputs", 0), DEFS["inputs"]["items"]),
    (("foreach",), DEFS["foreach"]),
]


def changed(where, value):
    batch = copy.deepcopy(BASE)
    at = batch
    for i, step in enumerate(where[:-1]):
        if isinstance(at, dict) and step not in at:
            at[step] = [] if isinstance(where[i + 1], int) else {}
        if isinstance(step, int) and step == len(at):
            at.append({})
        at = at[step]
    if value is GONE:
        del at[where[-1]]
    else:
        at[where[-1]] = value
    return batch


def is_valid(value, schema=SCHEMA):
    if schema is not SCHEMA:
        schema = {**schema, "$defs": DEFS}
    return jsonschema.Draft202012Validator(schema).is_valid(value)


class BatchSchemaTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="midwatch-")
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name)
        (self.path / "rows.csv").write_text("id\n1\n2\n")
        (self.path / "rows.jsonl").write_text('{"n": "a"}\n')
        (self.path / "schema.yaml").write_text("type: array\n")

    def read(self, name, text):
        """Whether the reader takes it, and what it complains of."""
        (self.path / name).write_text(text)
        done = subprocess.run(
            [MIDWATCH, "submit", "--dry-run", name], cwd=self.path,
            capture_output=True, text=True, timeout=60)
        self.assertIn(done.returncode, (0, 2), done.stderr)
        return done.returncode == 0, done.stderr

    def keys_after(self, complaint):
        found = re.search(r"unknown key 'zz' in [^;]+; expected one of (.*)",
                          complaint)
        self.assertTrue(found, complaint)
        return set(found[1].split(", "))

    def test_it_is_a_schema(self):
        jsonschema.Draft202012Validator.check_schema(SCHEMA)

    def test_every_key_is_described(self):
        undescribed = []

        def look(at, node):
            if isinstance(node, list):
                for child in node:
                    look(at, child)
            if not isinstance(node, dict):
                return
            for name, child in node.get("properties", {}).items():
                target = child
                if "$ref" in child:
                    target = DEFS[child["$ref"].split("/")[-1]]
                if "description" not in target and name != "batch":
                    undescribed.append(f"{at}.{name}")
            for name, child in node.items():
                if name not in ("if", "then"):  # they name keys again
                    look(f"{at}.{name}", child)

        look("", SCHEMA)
        self.assertEqual(undescribed, [])

    def test_examples_are_good(self):
        examples = sorted(ROOT.glob("examples/*/batch.yaml"))
        self.assertTrue(examples)
        texts = [path.read_text() for path in examples]
        texts.append(subprocess.run([MIDWATCH, "init", "-"], check=True,
                                    capture_output=True, text=True).stdout)
        for text in texts:
            errors = jsonschema.Draft202012Validator(SCHEMA).iter_errors(
                yaml.safe_load(text))
            self.assertEqual([error.message for error in errors], [])
            self.assertEqual(self.read("batch.yaml", text), (True, ""))

    def test_init_writes_it_beside_its_batch(self):
        subprocess.run([MIDWATCH, "init", "first.yaml"], cwd=self.path,
                       check=True, capture_output=True)
        self.assertEqual((self.path / "batch.schema.json").read_text(),
                         (ROOT / "docs/batch.schema.json").read_text())

    def test_both_take_what_is_good(self):
        for where, value in GOOD:
            with self.subTest(where=where, value=value):
                batch = changed(where, value)
                self.assertEqual(self.read("b.json", json.dumps(batch)),
                                 (True, ""))
                self.assertTrue(is_valid(batch))

    def test_a_prompt_is_each_tasks_or_all_tasks(self):
        for prompts, want in (("p", "q"), True), (("p", None), False):
            batch = {"name": "n", "defaults": {"agent": "agent_1"},
                     "tasks": [{"name": f"t{i}"} for i in range(2)]}
            for task, prompt in zip(batch["tasks"], prompts):
                if prompt is not None:
                    task["prompt"] = prompt
            with self.subTest(prompts=prompts):
                taken, _ = self.read("b.json", json.dumps(batch))
                self.assertEqual((taken, is_valid(batch)), (want, want))
        batch = {"name": "n", "defaults": {"agent": "agent_1"},
                 "foreach": {**ROWS, "prompt": "p"}}
        self.assertEqual(self.read("b.json", json.dumps(batch)), (True, ""))
        self.assertTrue(is_valid(batch))

    def test_both_refuse_what_is_bad(self):
        for where, value in BAD:
            with self.subTest(where=where, value=value):
                batch = changed(where, value)
                taken, said = self.read("b.json", json.dumps(batch))
                self.assertFalse(taken)
                self.assertRegex(said, r"^midwatch: b\.json:1:\d+: ")
                self.assertFalse(is_valid(batch))

    def test_both_know_the_same_keys(self):
        for where, schema in MAPS:
            with self.subTest(where=where):
                _, said = self.read("b.json",
                                    json.dumps(changed((*where, "zz"), 1)))
                self.assertEqual(self.keys_after(said),
                                 set(schema["properties"]))

    def test_lines_of_jsonl(self):
        head = {"batch": {key: BASE[key] for key in ("name", "defaults")}}
        task = {"name": "a", "parameters": {"x": 1}, "labels": {"a": "b"},
                "inputs": [{"path": "rows.csv", "mount": "m"}]}
        cases = [
            (head, task, True),
            ({"batch": {**head["batch"], "tasks": []}}, task, False),
            ({**head, "more": 1}, task, False), ({}, task, False),
            (head, {**task, "prompt": "x", "expect": {"files": ["a"]}}, True),
            (head, {**task, "prompt": ""}, False),
            (head, {**task, "expect": {"files": ["/a"]}}, False),
            (head, {**task, "priority": 9, "max_cost": "$2",
                    "retry": {"max_failures": 1},
                    "timeouts": {"total": "8h"}}, True),
            (head, {**task, "priority": 10}, False),
            (head, {**task, "max_cost": "much"}, False),
            (head, {**task, "retry": {"max_failures": 0}}, False),
            (head, {**task, "timeouts": {"total": 5}}, False),
            (head, {**task, "nonsense": "x"}, False),
            (head, {**task, "needs": "all", "on_need_failure": "run_anyway",
                    "inputs": [{"from": "all", "mount": "m"}]}, True),
            (head, {**task, "needs": [{"id": "x"}]}, False),
            (head, {**task, "needs": {"id": "x"}}, False),
            (head, {**task, "needs": {"task": "01M8JB4J8W6CCG000000000001"}},
             True),
            (head, {**task, "needs": None}, False),
            (head, {**task, "needs": "all", "on_need_failure": "stop"}, False),
            (head, {**task, "on_need_failure": "skip"}, False),
            (head, {**task, "delay": "1h", "expires_after": "2h"}, True),
            (head, {**task, "start_after": "2026-12-01T06:00:00Z"}, True),
            (head, {**task, "start_after": "soon"}, False),
            (head, {**task, "delay": "1h",
                    "start_after": "2026-12-01T06:00:00Z"}, False),
            (head, {"parameters": {}}, False), (head, [], False),
            (head, {**task, "parameters": {"x": None}}, False),
        ]
        for first, second, want in cases:
            with self.subTest(first=first, second=second):
                text = f"{json.dumps(first)}\n{json.dumps(second)}\n"
                self.assertEqual(self.read("b.jsonl", text)[0], want)
                self.assertEqual(is_valid(first, DEFS["jsonl_head"]) and
                                 is_valid(second, DEFS["jsonl_task"]), want)
        _, said = self.read("b.jsonl", '{"batch": {"zz": 1}}\n')
        self.assertEqual(
            self.keys_after(said),
            set(DEFS["jsonl_head"]["properties"]["batch"]["properties"]))
        _, said = self.read("b.jsonl", f"{json.dumps(head)}\n"
                                       '{"name": "a", "zz": 1}\n')
        self.assertEqual(self.keys_after(said),
                         set(DEFS["jsonl_task"]["properties"]))


if __name__ == "__main__":
    unittest.main()
