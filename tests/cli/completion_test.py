"""Shell completion, asked of the shells themselves."""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

MIDWATCH = pathlib.Path(sys.argv.pop(1)).resolve()


def script(shell):
    return subprocess.run([MIDWATCH, "completion", shell], check=True,
                          capture_output=True, text=True).stdout


class BashTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="midwatch-")
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name)
        (self.path / "script").write_text(script("bash"))
        (self.path / "night.yaml").touch()
        (self.path / "folder").mkdir()

    def complete(self, *words):
        """What bash offers for the last word, which may be begun."""
        quoted = " ".join(f"'{word}'" for word in words)
        answer = subprocess.run(
            ["bash", "--norc", "-c",
             "source ./script; spec=$(complete -p midwatch); "
             "[[ $spec == *'-F _midwatch midwatch' ]] || exit 3; "
             f"COMP_WORDS=(midwatch {quoted}); "
             "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _midwatch; "
             "printf '%s\\n' \"${COMPREPLY[@]}\""],
            cwd=self.path, check=True, capture_output=True, text=True)
        self.assertEqual(answer.stderr, "")
        return set(answer.stdout.split())

    def test_every_command_that_help_names_is_offered(self):
        text = subprocess.run([MIDWATCH, "--help"], check=True,
                              capture_output=True, text=True).stdout
        section = text.split("Subcommands:")[1].split("\n\n")[0]
        names = {line.split()[0] for line in section.splitlines()
                 if line.startswith("  ") and line[2] != " "}
        self.assertIn("run", names)
        self.assertLessEqual(names, self.complete(""))
        self.assertEqual(self.complete("ha"), {"harness"})

    def test_subcommands_and_their_options(self):
        self.assertLessEqual({"list", "get", "watch"}, self.complete("batch", ""))
        self.assertEqual(self.complete("batch", "wa"), {"watch"})
        self.assertEqual(self.complete("run", "--res"), {"--results"})
        # Options of the program hold for every command, wherever they stand.
        self.assertIn("--output", self.complete("batch", "list", "--"))
        self.assertEqual(self.complete("--state-dir", "batch", "ta"), {"task"})

    def test_values(self):
        self.assertEqual(self.complete("--output", ""), {"text", "json"})
        self.assertEqual(self.complete("batch", "list", "--output", "j"),
                         {"json"})
        self.assertEqual(self.complete("run", "--output", "=", "t"), {"text"})
        self.assertEqual(self.complete("completion", "z"), {"zsh"})

    def test_files_and_folders(self):
        self.assertEqual(self.complete("run", "nig"), {"night.yaml"})
        self.assertEqual(self.complete("run", "--results", "f"), {"folder"})
        self.assertEqual(self.complete("run", "--results", "nig"), set())
        self.assertEqual(self.complete("export", "--out", "nig"),
                         {"night.yaml"})


class OtherShellsTest(unittest.TestCase):
    def test_unknown_shell_is_refused(self):
        self.assertEqual(subprocess.run([MIDWATCH, "completion", "tcsh"],
                                        capture_output=True).returncode, 2)

    @unittest.skipUnless(shutil.which("zsh"), "no zsh here")
    def test_zsh_takes_it(self):
        answer = subprocess.run(
            ["zsh", "-f", "-c", "autoload -Uz compinit && compinit -u -D; "
             "source /dev/stdin; print ${_comps[midwatch]}"],
            input=script("zsh"), capture_output=True, text=True)
        self.assertEqual((answer.stdout, answer.stderr), ("_midwatch\n", ""))

    @unittest.skipUnless(shutil.which("fish"), "no fish here")
    def test_fish_completes(self):
        with tempfile.TemporaryDirectory() as home:
            answer = subprocess.run(
                ["fish", "--no-config", "-c",
                 "source; complete -C 'midwatch batch wa'; "
                 "complete -C 'midwatch run --output j'"],
                input=script("fish"), capture_output=True, text=True,
                env={"HOME": home, "PATH": "/usr/bin:/bin"})
        self.assertEqual(answer.stderr, "")
        self.assertRegex(answer.stdout, r"^watch\t.+\njson\b")


if __name__ == "__main__":
    unittest.main()
