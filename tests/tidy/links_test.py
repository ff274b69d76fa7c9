#!/usr/bin/env python3
"""Checks that what the documents point to is there: relative links, #anchors,
and paths of the repository named in backticks.

Prints each breach as FILE:LINE: what, and fails if there is one.
"""

import fnmatch
import pathlib
import re
import subprocess
import sys
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]

LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
CODE = re.compile(r"`([^`]+)`")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$")
# A path of at least two parts: letters, digits, and stars for "any of them".
PATH = re.compile(r"[\w.*-]+(/[\w.*-]+)*/?")


def repository_files():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {name for name in listed.splitlines() if (ROOT / name).exists()}


def prose(path):
    """The numbered lines outside of fenced blocks."""
    fenced = False
    for number, line in enumerate(
            path.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        elif not fenced:
            yield number, line


def anchors(path):
    """The anchors of a document's headings, as GitHub makes them."""
    seen = {}
    for _, line in prose(path):
        heading = HEADING.match(line)
        if not heading:
            continue
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.group(1))
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        again = seen.get(slug, 0)
        seen[slug] = again + 1
        yield f"{slug}-{again}" if again else slug


class Tree:
    """The repository's files and folders."""

    def __init__(self, files):
        self.files = files
        self.folders = {str(folder) for name in files
                        for folder in pathlib.PurePosixPath(name).parents}
        self.tops = {name.split("/", 1)[0] for name in files if "/" in name}

    def holds(self, name):
        name = name.rstrip("/") or "."
        if "*" in name:
            return bool(fnmatch.filter(self.files | self.folders, name))
        return name in self.files or name in self.folders

    def is_path(self, text):
        """Whether backticked text means a path from the root."""
        return bool("/" in text and PATH.fullmatch(text)
                    and text.split("/", 1)[0] in self.tops)


def check_link(tree, name, target):
    if re.match(r"[a-z][a-z0-9+.-]*:", target):
        return None  # of the outside, which this test does not ask
    path, _, anchor = target.partition("#")
    path = urllib.parse.unquote(path)
    if path.startswith("/"):
        return f"{target}: begin at this document's folder, not at /"
    document = (ROOT / name).parent / path if path else ROOT / name
    try:
        inside = document.resolve().relative_to(ROOT).as_posix()
    except ValueError:
        return f"{target} leads out of the repository"
    if not tree.holds(inside):
        return f"{target}: no such file"
    if anchor and inside.endswith(".md"):
        if anchor not in set(anchors(ROOT / inside)):
            return f"{target}: no such heading"
    return None


def check(tree, name):
    for number, line in prose(ROOT / name):
        for link in LINK.finditer(CODE.sub("", line)):
            breach = check_link(tree, name, link.group(1))
            if breach:
                yield f"{name}:{number}: {breach}"
        for code in CODE.finditer(line):
            text = code.group(1)
            if tree.is_path(text) and not tree.holds(text):
                yield f"{name}:{number}: `{text}`: no such file or folder"


def main():
    tree = Tree(repository_files())
    documents = sorted(n for n in tree.files if n.endswith(".md"))
    breaches = [b for name in documents for b in check(tree, name)]
    for breach in breaches:
        print(breach)
    print(f"{len(documents)} documents, {len(breaches)} breaches")
    # A check of nothing passes nothing.
    sys.exit(1 if breaches or len(documents) < 2 else 0)


if __name__ == "__main__":
    main()
