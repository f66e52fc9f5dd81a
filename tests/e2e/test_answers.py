"""`shoehorn run` with the default model: one prompt in, one answer out."""

import tempfile
import unittest
from pathlib import Path

from program import GREEDY, ProgramTest, default_model, shoehorn

QUESTION = "Name the capital of France."


class Answer(ProgramTest):
    def answer(self, *arguments, **options):
        return self.assert_succeeds("run", default_model(), *GREEDY, "-n", "24", *arguments,
                                    **options)

    def test_it_knows_paris(self):
        self.assertIn("Paris", self.answer("-p", QUESTION))

    def test_file_and_standard_input_say_the_same_as_an_option(self):
        expected = self.answer("-p", QUESTION)
        self.assertEqual(self.answer(stdin=QUESTION), expected)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "question.txt"
            path.write_text(QUESTION)
            self.assertEqual(self.answer("--file", path), expected)

    def test_threads_and_steps_change_no_bit(self):
        expected = self.answer("-p", QUESTION)
        for threads in (1, 2, 3):
            self.assertEqual(self.answer("-p", QUESTION, "--threads", threads), expected)
        self.assertEqual(self.answer("-p", QUESTION, "--prefill-rows", "5"), expected)

    def test_unrounded_arithmetic_knows_paris_too(self):
        self.assertIn("Paris", self.answer("-p", QUESTION, "--precision", "full",
                                           "--kv-type", "f32"))

    def test_generic_code_knows_paris_too(self):
        self.assertIn("Paris", self.answer("-p", QUESTION, environment={"SHOEHORN_ISA": "generic"}))

    def test_max_tokens_ends_an_answer(self):
        short = self.assert_succeeds("run", default_model(), *GREEDY, "-n", "3", "-p", QUESTION)
        self.assertTrue(self.answer("-p", QUESTION).startswith(short.rstrip("\n")))
        self.assertLess(len(short.split()), 5)

    def test_stop_string_ends_an_answer_before_it(self):
        stopped = self.answer("-p", QUESTION, "--stop", "Paris")
        self.assertEqual(stopped.rstrip(), self.answer("-p", QUESTION).split("Paris")[0].rstrip())

    def test_raw_text_goes_on(self):
        self.assertIn("Paris", self.answer("--raw", "-p", "The capital of France is"))

    def test_system_message_changes_the_answer(self):
        plain = self.answer("-p", "Who are you?")
        pirate = self.answer("-p", "Who are you?", "--system", "You are Redbeard, a pirate.")
        self.assertNotEqual(plain, pirate)

    def test_the_seed_decides(self):
        def sample(seed):
            return self.assert_succeeds("run", default_model(), "-q", "-n", "24", "--temperature",
                                        "1.5", "--seed", seed, "-p", "Tell me a story.")
        self.assertEqual(sample(7), sample(7))
        self.assertNotEqual(sample(7), sample(8))

    def test_text_beyond_ascii(self):
        self.assertNotEqual(self.answer("-p", "Übersetze: 東京は大きい 🚀 e\u0301"), "")

    def test_bytes_that_are_no_text_do_no_harm(self):
        done = shoehorn("run", default_model(), *GREEDY, "-n", "4", stdin=b"\xff\xfe\x00\xc3(")
        self.assertIn(done.returncode, (0, 1), done.stderr)


class Statistics(ProgramTest):
    def test_speed_goes_to_standard_error(self):
        done = shoehorn("run", default_model(), "--temperature", "0", "-n", "8", "-p", QUESTION)
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stderr, r"tokens at [\d.]+/s")
        self.assertNotRegex(done.stdout, r"[\d.]+/s")


class Refusal(ProgramTest):
    def test_an_empty_prompt(self):
        self.assert_fails("run", default_model(), naming="prompt")
        self.assert_fails("run", default_model(), "-p", "", naming="prompt")

    def test_a_missing_prompt_file(self):
        self.assert_fails("run", default_model(), "--file", "/no/such/text", naming="/no/such/text")

    def test_a_prompt_longer_than_the_context(self):
        self.assert_fails("run", default_model(), "--context", "32", "-p", "word " * 100,
                          naming="context")


if __name__ == "__main__":
    unittest.main()
