"""`shoehorn run` on a terminal: a conversation."""

import os
import pty
import select
import time
import unittest

from program import PROGRAM, TIMEOUT_S, ProgramTest, default_model


class Terminal:
    """A program on a pseudo-terminal, typed at by a test."""

    def __init__(self, *arguments):
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.execv(PROGRAM, [PROGRAM, *arguments])
        self.shown = ""

    def type(self, line):
        os.write(self.terminal, line.encode())

    def wait_for(self, text):
        """What was shown since the last wait, up to and with `text`."""
        end = time.monotonic() + TIMEOUT_S
        while text not in self.shown:
            if not self.read_some(end - time.monotonic()):
                raise AssertionError(f"no {text!r} in {self.shown!r}")
        before, _, self.shown = self.shown.partition(text)
        return before + text

    def read_some(self, seconds):
        if not select.select([self.terminal], [], [], max(seconds, 0))[0]:
            return False
        try:
            data = os.read(self.terminal, 65536)
        except OSError:  # how Linux says that the other side is closed
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)

    def exit_code(self):
        while self.read_some(TIMEOUT_S):
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])


class Chat(ProgramTest):
    def test_a_conversation(self):
        chat = Terminal("run", default_model(), "--temperature", "0", "-n", "24")
        chat.wait_for("\n> ")
        chat.type("/help\n")
        self.assertIn("/reset", chat.wait_for("\n> "))
        chat.type("Name the capital of France.\n")
        self.assertIn("Paris", chat.wait_for("\n> "))
        chat.type("/stats\n")
        self.assertRegex(chat.wait_for("\n> "), r"tokens at [\d.]+/s")
        chat.type("/reset\n")
        chat.wait_for("\n> ")
        chat.type("/exit\n")
        self.assertEqual(chat.exit_code(), 0)

    def test_the_end_of_input_ends_it(self):
        chat = Terminal("run", default_model())
        chat.wait_for("\n> ")
        chat.type("\x04")
        self.assertEqual(chat.exit_code(), 0)

    def test_an_interrupt_ends_an_answer_and_no_more(self):
        chat = Terminal("run", default_model(), "--temperature", "0")
        chat.wait_for("\n> ")
        chat.type("Count from 1 to 500, one number a line.\n")
        chat.wait_for("line.\r\n")
        chat.read_some(TIMEOUT_S)  # the answer has begun
        chat.type("\x03")
        chat.wait_for("\n> ")
        chat.type("/exit\n")
        self.assertEqual(chat.exit_code(), 0)


if __name__ == "__main__":
    unittest.main()
