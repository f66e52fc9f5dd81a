"""Help, version, completion, and what happens to commands that make no sense."""

import os
import subprocess
import unittest

from program import ProgramTest

COMMANDS = [["run"], ["inspect"], ["bench"], ["eval"], ["eval", "perplexity"], ["doctor"],
            ["completion"]]


class Help(ProgramTest):
    def test_the_program_names_its_commands(self):
        for flag in ("-h", "--help"):
            text = self.assert_succeeds(flag)
            for command in COMMANDS:
                self.assertIn(command[0], text)

    def test_every_command_explains_itself(self):
        for command in COMMANDS:
            with self.subTest(command=command):
                text = self.assert_succeeds(*command, "--help")
                self.assertIn("--help", text)
                self.assertGreater(len(text.splitlines()), 3)

    def test_help_fits_a_terminal(self):
        for command in COMMANDS:
            text = self.assert_succeeds(*command, "--help")
            longest = max(text.splitlines(), key=len)
            self.assertLessEqual(len(longest), 120, longest)

    def test_version(self):
        version = self.assert_succeeds("--version").strip()
        self.assertEqual(version, os.environ.get("SHOEHORN_VERSION", version))
        self.assertRegex(version, r"^\d+\.\d+\.\d+$")


class Usage(ProgramTest):
    def test_no_command(self):
        self.assert_usage_error()

    def test_unknown_words(self):
        self.assertIn("frobnicate", self.assert_usage_error("frobnicate"))
        self.assertIn("--frobnicate", self.assert_usage_error("doctor", "--frobnicate"))
        self.assert_usage_error("eval")
        self.assert_usage_error("eval", "frobnicate")
        self.assert_usage_error("completion", "cmd.exe")

    def test_missing_arguments(self):
        for command in ("run", "inspect", "bench", "completion"):
            self.assert_usage_error(command)
        self.assert_usage_error("eval", "perplexity")
        self.assert_usage_error("eval", "perplexity", "model.gguf")

    def test_values_out_of_range(self):
        for option, value in (("--threads", "0"), ("--threads", "many"), ("--context", "-1"),
                              ("--kv-type", "q1"), ("--precision", "low"), ("--max-tokens", "0")):
            with self.subTest(option=option, value=value):
                self.assertIn(option, self.assert_usage_error("run", "model.gguf", option, value))

    def test_two_prompts(self):
        self.assert_usage_error("run", "model.gguf", "-p", "a", "--file", "b")

    def test_a_file_that_is_missing_is_no_usage_error(self):
        self.assert_fails("run", "/no/such/model.gguf", "-p", "a", naming="/no/such/model.gguf")
        self.assert_fails("inspect", "/no/such/model.gguf", naming="/no/such/model.gguf")

    def test_sampling_that_makes_no_sense(self):
        self.assert_fails("run", "/no/such/model.gguf", "-p", "a", "--temperature", "-1",
                          naming="temperature")


class Completion(ProgramTest):
    def complete(self, *words):
        """What bash offers behind `shoehorn WORDS...`, the cursor behind the last word."""
        script = self.assert_succeeds("completion", "bash")
        quoted = " ".join(f"'{word}'" for word in ("shoehorn", *words))
        script += (f"\nCOMP_WORDS=({quoted})\nCOMP_CWORD={len(words)}\n_shoehorn\n"
                   "printf '%s\\n' \"${COMPREPLY[@]}\"\n")
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        return done.stdout.split()

    def test_bash_offers_commands_and_options(self):
        self.assertIn("inspect", self.complete(""))
        self.assertEqual(self.complete("insp"), ["inspect"])
        self.assertIn("--temperature", self.complete("run", "--temp"))
        self.assertIn("perplexity", self.complete("eval", "perp"))

    def test_other_shells(self):
        self.assertIn("shoehorn", self.assert_succeeds("completion", "zsh"))
        self.assertIn("complete -c shoehorn", self.assert_succeeds("completion", "fish"))


if __name__ == "__main__":
    unittest.main()
