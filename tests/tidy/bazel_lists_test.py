#!/usr/bin/env python3
"""Holds the two builds against each other: each CMakeLists.txt and the
BUILD.bazel beside it name the same targets and tests, with the same sources,
headers and own libraries, in the same order. What a file includes is in those
lists, as Bazel's sandbox wants. Also what both say of the tree: visibility
(tidy_test.py's table of folders), warnings, version.

Libraries of others are not compared: a missing one does not link.
"""

import ast
import dataclasses
import pathlib
import re
import subprocess
import unittest

import tidy_test

ROOT = pathlib.Path(__file__).resolve().parents[2]

FIELDS = ("srcs", "hdrs", "deps")
# What has the same name in both.
RULES = ("midwatch_cc_", "midwatch_fuzz_")
# What add_test is in BUILD files.
COMMAND_TESTS = {"midwatch_command_test", "midwatch_py_test"}
# Tests and benchmarks may use every folder.
ALL_SEEING = {"bench", "tests"}


class Unreadable(Exception):
    """A list is written in a way that this script does not follow."""


@dataclasses.dataclass
class Target:
    kind: str
    name: str
    srcs: list = dataclasses.field(default_factory=list)
    hdrs: list = dataclasses.field(default_factory=list)
    deps: list = dataclasses.field(default_factory=list)


# --- CMake


def without_loops(text):
    """`text` with each foreach written out."""
    loop = re.compile(r"foreach\((\w+)\s([^()]*)\)(.*?)endforeach\(\)", re.S)
    return loop.sub(
        lambda found: "".join(
            found[3].replace("${%s}" % found[1], word)
            for word in found[2].split()), text)


def cmake_targets(text):
    """The targets and tests of a CMakeLists.txt; deps as CMake names them."""
    text = re.sub(r"#.*", "", text)
    text = re.sub(r"\bfunction\(.*?\bendfunction\(\)", "", text, flags=re.S)
    text = without_loops(text)
    calls = re.compile(rf"\b((?:{'|'.join(RULES)})\w+|add_test)\s*\(([^()]*)")
    for kind, arguments in calls.findall(text):
        words = arguments.split()
        if kind == "add_test":
            yield Target(kind, words[words.index("NAME") + 1])
            continue
        target = Target(kind, words[0])
        field = None
        for word in words[1:]:
            if word.isupper():
                field = word.lower()
            elif "$" in word:
                raise Unreadable(f"{target.name}: write '{word}' out")
            elif field in FIELDS:
                getattr(target, field).append(word)
        yield target


# --- Bazel: BUILD files are Python to read


def value_of(node, names):
    """The strings and lists of a BUILD file, + between them, and names."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple)):
        return [value_of(element, names) for element in node.elts]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return value_of(node.left, names) + value_of(node.right, names)
    if isinstance(node, ast.Name) and node.id in names:
        return names[node.id]
    raise Unreadable(f"line {node.lineno}: write the list out")


def bazel_calls(text):
    """(rule, {attribute: node}, names) of each call, comprehensions unrolled."""
    try:
        # Finds what parsing alone does not: an attribute that is given twice.
        compile(text, "BUILD.bazel", "exec")
    except SyntaxError as error:
        raise Unreadable(f"BUILD.bazel:{error.lineno}: {error.msg}") from error
    names = {}
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.Assign):
            names[statement.targets[0].id] = value_of(statement.value, names)
            continue
        call, rounds = statement.value, [names]
        if isinstance(call, ast.ListComp):
            loop, call = call.generators[0], call.elt
            rounds = [{**names, loop.target.id: value}
                      for value in value_of(loop.iter, names)]
        if isinstance(call, ast.Call):
            attributes = {word.arg: word.value for word in call.keywords}
            for each in rounds:
                yield call.func.id, attributes, each


def bazel_targets(text):
    """The targets and tests of a BUILD.bazel; deps as labels."""
    for rule, attributes, names in bazel_calls(text):
        if rule in COMMAND_TESTS:
            yield Target("add_test", value_of(attributes["name"], names))
        elif rule.startswith(RULES):
            target = Target(rule, value_of(attributes["name"], names))
            for field in FIELDS:
                if field in attributes:
                    setattr(target, field, value_of(attributes[field], names))
            yield target


def default_visibility(text):
    for rule, attributes, names in bazel_calls(text):
        if rule == "package":
            return value_of(attributes["default_visibility"], names)
    return []


# --- both


def label(dependency, folder, folders):
    """`dependency` of a target in `folder` as //folder:name, where it is our
    own; None for the libraries of others. `folders` says where libraries are."""
    if dependency.startswith("midwatch::"):
        name = dependency[len("midwatch::"):]
        return f"//{folders.get(name, '?')}:{name}"
    if dependency.startswith(":"):
        return f"//{folder}{dependency}"
    if dependency.startswith("//"):
        where = dependency[len("//"):]
        return dependency if ":" in where else f"{dependency}:{where.split('/')[-1]}"
    return None


def differences(cmake, bazel):
    """What is to be said of two lists that should be equal."""
    only_cmake = [entry for entry in cmake if entry not in bazel]
    only_bazel = [entry for entry in bazel if entry not in cmake]
    yield from (f"{entry} is in CMakeLists.txt alone" for entry in only_cmake)
    yield from (f"{entry} is in BUILD.bazel alone" for entry in only_bazel)
    if not only_cmake and not only_bazel and cmake != bazel:
        moved = next(ours for ours, theirs in
                     zip(cmake + [None], bazel + [None]) if ours != theirs)
        yield f"{moved or bazel[-1]} stands elsewhere in BUILD.bazel"


def drift(folder, cmake_text, bazel_text, folders):
    """Where the two lists of `folder` differ, as lines for people."""
    where = f"{folder}/BUILD.bazel"
    try:
        cmake = list(cmake_targets(cmake_text))
        bazel = list(bazel_targets(bazel_text))
    except Unreadable as unreadable:
        yield f"{folder}: {unreadable}"
        return
    for difference in differences([target.name for target in cmake],
                                  [target.name for target in bazel]):
        yield f"{where}: target {difference}"
    beside = {target.name: target for target in bazel}
    for ours in cmake:
        theirs = beside.get(ours.name)
        if theirs is None:
            continue
        if ours.kind != theirs.kind:
            yield f"{where}: {ours.name}: is a {theirs.kind}, not a {ours.kind}"
        for target in (ours, theirs):
            labels = [label(dep, folder, folders) for dep in target.deps]
            target.deps = [each for each in labels if each]
        for field in FIELDS:
            for difference in differences(getattr(ours, field),
                                          getattr(theirs, field)):
                yield f"{where}: {ours.name}: {field}: {difference}"


# Linked by the rule itself.
IMPLIED = {"midwatch_cc_test": ["//tests/testing:testing"]}

INCLUDE = re.compile(r'^#include "([^"]+)"', re.M)


def headers_of(name, targets, seen):
    """The headers of a target and of all that it links. `targets` are those of
    the tree, by label, with the folder of each."""
    if name in seen or name not in targets:
        return set()
    seen.add(name)
    folder, target = targets[name]
    found = {f"{folder}/{header}" for header in target.hdrs}
    for dep in target.deps + IMPLIED.get(target.kind, []):
        linked = label(dep, folder, {})
        if linked:
            found |= headers_of(linked, targets, seen)
    return found


def undeclared_includes(targets, read_file):
    """Where a file includes one of the tree's that none of its target's lists
    holds, as lines for people. `read_file` gives "" for what is not there."""
    for name, (folder, target) in targets.items():
        declared = headers_of(name, targets, set())
        declared |= {f"{folder}/{source}" for source in target.srcs}
        for file in target.srcs + target.hdrs:
            for header in INCLUDE.findall(read_file(f"{folder}/{file}")):
                if header not in declared and read_file(header):
                    yield (f"{folder}/BUILD.bazel: {target.name}: {file} "
                           f"includes {header}, of no target in deps")


def read(name):
    path = ROOT / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def folders_with_cmake():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard",
         "*/CMakeLists.txt"],
        cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted(str(pathlib.Path(name).parent) for name in listed.split()
                  if (ROOT / name).exists())


class TreeTest(unittest.TestCase):
    maxDiff = None

    def test_both_builds_have_the_same_lists(self):
        texts = {folder: read(f"{folder}/CMakeLists.txt")
                 for folder in folders_with_cmake()}
        homes = {}
        for folder, text in texts.items():
            # What is made from .proto files has no rule of ours in CMake.
            names = re.findall(r"add_library\(midwatch::(\w+) ALIAS", text)
            names += [target.name for target in cmake_targets(text)]
            homes.update((name, folder) for name in names)
        found = [line for folder, text in texts.items()
                 for line in drift(folder, text, read(f"{folder}/BUILD.bazel"),
                                   homes)]
        self.assertFalse(found, "\n" + "\n".join(found))
        # A check of nothing passes nothing.
        self.assertGreater(len(homes), 50)

    def test_what_is_included_is_declared(self):
        targets = {f"//{folder}:{target.name}": (folder, target)
                   for folder in folders_with_cmake()
                   for target in bazel_targets(read(f"{folder}/BUILD.bazel"))}
        found = list(undeclared_includes(targets, read))
        self.assertFalse(found, "\n" + "\n".join(found))

    def test_both_builds_have_the_same_protos(self):
        protos = re.compile(r"[\w/]+\.proto\b")
        for folder in folders_with_cmake():
            cmake, bazel = (set(protos.findall(read(f"{folder}/{name}")))
                            for name in ("CMakeLists.txt", "BUILD.bazel"))
            self.assertEqual(cmake, bazel, folder)

    def test_visibility_is_the_table_of_folders(self):
        tables = tidy_test.MAY_INCLUDE
        for folder in [*tables, "proto"]:
            users = {user for user, may in tables.items() if folder in may}
            want = [f"//{user}:__subpackages__"
                    for user in sorted(users | ALL_SEEING)]
            self.assertEqual(default_visibility(read(f"{folder}/BUILD.bazel")),
                             want, f"{folder}/BUILD.bazel: default_visibility")

    def test_both_builds_have_the_same_warnings(self):
        warnings = re.compile(r"\s\"?(-W[\w-]+)")
        cmake, bazel = (warnings.findall(re.sub(r"#.*", "", read(name)))
                        for name in ("cmake/MidwatchRules.cmake",
                                     "bazel/rules.bzl"))
        self.assertEqual(cmake, bazel)
        self.assertGreater(len(cmake), 5)

    def test_both_builds_have_the_same_version(self):
        cmake = re.search(r"VERSION (\d[\d.]*)\s+LANGUAGES",
                          read("CMakeLists.txt"))[1]
        self.assertIn(f'MIDWATCH_VERSION = "{cmake}"', read("bazel/rules.bzl"))


class DriftTest(unittest.TestCase):
    """That this script sees what it is for: one change, one line."""

    CMAKE = """
        function(midwatch_cc_special name)
          midwatch_cc_binary(${name} SRCS ${ARG_SRCS})
        endfunction()
        # A library and its test.
        midwatch_cc_library(queue
          SRCS a.cc b.cc
          HDRS a.h b.h
          DEPS midwatch::base midwatch::queue_core absl::time)
        midwatch_cc_test(queue_test SRCS queue_test.cc TIMEOUT 9
          DEPS midwatch::queue)
        foreach(name one two)
          add_test(NAME e2e_${name} COMMAND python3 ${name}.py)
        endforeach()
        """
    BAZEL = '\n'.join([
        'midwatch_cc_library(name = "queue", srcs = ["a.cc", "b.cc"],',
        '    hdrs = ["a.h", "b.h"],',
        '    deps = ["//base", "//q/core:queue_core", "@absl//:t"])',
        'midwatch_cc_test(name = "queue_test", srcs = ["queue_test.cc"],',
        '    deps = [":queue"])',
        '[midwatch_py_test(name = "e2e_" + name, src = name + ".py")',
        ' for name in ["one", "two"]]',
    ])
    HOMES = {"base": "base", "queue_core": "q/core", "queue": "queue"}

    # The change to BUILD.bazel, and what is said of it.
    CASES = [
        ("", "", None),
        ('"@absl//:t"', '"@another"', None),
        ('"a.cc", ', "",
         "queue: srcs: a.cc is in CMakeLists.txt alone"),
        ('"b.cc"', '"b.cc", "c.cc"',
         "queue: srcs: c.cc is in BUILD.bazel alone"),
        ('"a.h", "b.h"', '"b.h", "a.h"',
         "queue: hdrs: a.h stands elsewhere in BUILD.bazel"),
        ('"//base", ', "",
         "queue: deps: //base:base is in CMakeLists.txt alone"),
        ('"//base"', '"//base", "//net"',
         "queue: deps: //net:net is in BUILD.bazel alone"),
        ('[":queue"]', '["//queue:other"]',
         "queue_test: deps: //queue:queue is in CMakeLists.txt alone"),
        ('midwatch_cc_test(', 'midwatch_cc_binary(',
         "queue_test: is a midwatch_cc_binary, not a midwatch_cc_test"),
        ('"one", "two"', '"one"',
         "target e2e_two is in CMakeLists.txt alone"),
        ('"one", "two"', '"two", "one"',
         "target e2e_one stands elsewhere in BUILD.bazel"),
        (BAZEL, "",
         "target queue is in CMakeLists.txt alone"),
    ]

    def test_each_drift_is_named(self):
        for before, after, want in self.CASES:
            with self.subTest(after=after, want=want):
                bazel = self.BAZEL.replace(before, after, 1)
                found = list(drift("queue", self.CMAKE, bazel, self.HOMES))
                if want is None:
                    self.assertEqual(found, [])
                else:
                    self.assertIn(f"queue/BUILD.bazel: {want}", found)

    def test_an_undeclared_include_is_named(self):
        targets = {
            "//base:base": ("base", Target("midwatch_cc_library", "base",
                                           hdrs=["clock.h"])),
            "//net:net": ("net", Target("midwatch_cc_library", "net",
                                        srcs=["http.cc"], deps=["//base"])),
        }
        files = {"net/http.cc": '#include "base/clock.h"\n'
                                '#include "base/log.h"\n'
                                '#include "absl/time/time.h"\n',
                 "base/clock.h": "-", "base/log.h": "-"}
        self.assertEqual(
            list(undeclared_includes(targets,
                                     lambda name: files.get(name, ""))),
            ["net/BUILD.bazel: net: http.cc includes base/log.h, of no target "
             "in deps"])

    def test_what_it_cannot_read_is_said(self):
        found = list(drift("queue", "midwatch_cc_library(q SRCS ${files})", "",
                           {}))
        self.assertEqual(found, ["queue: q: write '${files}' out"])
        found = list(drift("queue", "",
                           'midwatch_cc_library(name = "q", srcs = glob([]))',
                           {}))
        self.assertEqual(found, ["queue: line 1: write the list out"])
        found = list(drift("queue", "",
                           'midwatch_cc_library(name = "q", srcs = [], '
                           'srcs = [])', {}))
        self.assertEqual(found, ["queue: BUILD.bazel:1: keyword argument "
                                 "repeated: srcs"])


if __name__ == "__main__":
    unittest.main()
