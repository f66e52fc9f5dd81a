"""Starts the program under test and says what came out; the base of every end-to-end test."""

import functools
import os
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("SHOEHORN", str(ROOT / "build" / "release" / "shoehorn"))
SANITIZED = bool(os.environ.get("SHOEHORN_SANITIZE"))
TIMEOUT_S = 600

GREEDY = ("--temperature", "0", "--quiet")


@functools.cache
def default_model():
    """Path of the default model; fetches it where it is not cached."""
    fetched = subprocess.run([sys.executable, ROOT / "tools" / "fetch_model.py"],
                             stdout=subprocess.PIPE, text=True, check=True)
    return fetched.stdout.strip()


def shoehorn(*arguments, stdin="", environment=None, preexec_fn=None):
    """Runs `shoehorn ARGUMENTS` to its end. Output that is no UTF-8 fails the test."""
    text = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run([PROGRAM, *map(str, arguments)], input=text, capture_output=True,
                          env={**os.environ, **(environment or {})}, timeout=TIMEOUT_S,
                          preexec_fn=preexec_fn)
    done.stdout = done.stdout.decode()
    done.stderr = done.stderr.decode()
    return done


class ProgramTest(unittest.TestCase):
    def assert_succeeds(self, *arguments, **options):
        """Its standard output."""
        done = shoehorn(*arguments, **options)
        self.assertEqual(done.returncode, 0, f"{arguments}: {done.stderr}")
        return done.stdout

    def assert_fails(self, *arguments, naming="", **options):
        """Exit code 1, nothing on standard output, and one line of error that names the culprit."""
        done = shoehorn(*arguments, **options)
        self.assertEqual(done.returncode, 1, f"{arguments}: {done.stdout}{done.stderr}")
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"\Aerror: [^\n]+\n\Z")
        self.assertIn(str(naming), done.stderr)
        return done.stderr

    def assert_usage_error(self, *arguments):
        """Exit code 2, nothing on standard output."""
        done = shoehorn(*arguments)
        self.assertEqual(done.returncode, 2, f"{arguments}: {done.stdout}{done.stderr}")
        self.assertEqual(done.stdout, "")
        self.assertNotEqual(done.stderr, "")
        return done.stderr
