"""Models that RAM does not hold: the same answers, inside the budget, with nothing left behind."""

import os
import re
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from program import GREEDY, PROGRAM, SANITIZED, ProgramTest, default_model, shoehorn

QUESTION = "Name the capital of France."
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def private_bytes(pid):
    """Of a process: what `--ram` limits. 0 once it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    fields = re.findall(r"^(?:RssAnon|RssShmem):\s+(\d+) kB", status, re.MULTILINE)
    return 1024 * sum(map(int, fields))


class Disk(ProgramTest):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.spill = Path(self.folder.name) / "spill"

    def arguments(self, *more, tokens=24):
        return ("run", default_model(), *GREEDY, "-n", tokens, "-c", "512", "-p", QUESTION,
                "--vram", "0", "--spill", self.spill, *more)

    def least(self):
        """The smallest budget, as its error names it."""
        error = self.assert_fails(*self.arguments("--ram", "1MiB"), naming="RAM budget")
        size, unit = re.search(r"expected at least ([\d.]+) (\w+)", error).groups()
        return int(float(size) * UNITS[unit]) + (1 << 20)

    def peak_of(self, *arguments):
        """Exit code, standard output, and the most that the process held."""
        process = subprocess.Popen([PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True)
        peak = 0
        while process.poll() is None:
            peak = max(peak, private_bytes(process.pid))
            time.sleep(0.001)
        return process.returncode, process.communicate()[0], peak

    def test_the_answer_is_the_same_and_the_budget_holds(self):
        expected = self.assert_succeeds(*self.arguments())
        self.assertIn("Paris", expected)
        least = self.least()
        for more in (0, 8 << 20, 32 << 20):
            code, answer, peak = self.peak_of(*self.arguments("--ram", least + more))
            self.assertEqual(code, 0)
            self.assertEqual(answer, expected, f"{more} bytes above the least")
            if not SANITIZED:
                self.assertLessEqual(peak, least + more)
                self.assertGreater(peak, least // 4)
        self.assertEqual(list(self.spill.iterdir()), [])

    def test_what_is_read_from_disk_is_said(self):
        done = shoehorn(*[a for a in self.arguments("--ram", self.least()) if a != "--quiet"])
        self.assertRegex(done.stderr, r"a step read from disk at [\d.]+ GB/s")

    def test_a_disk_that_fails_ends_in_an_error(self):
        arguments = self.arguments("--ram", self.least())
        for call in (1, 30, 300):
            done = shoehorn(*arguments, environment={"SHOEHORN_FAULT": f"file_read:{call}+",
                                                     "SHOEHORN_LOG": "error"})
            self.assertEqual(done.returncode, 1)  # behind what was answered until then
            self.assertRegex(done.stderr, r"\Aerror: [^\n]+Input/output error\n\Z")
            self.assertIn(str(self.spill), done.stderr)

    def test_a_directory_that_cannot_be_written_is_named(self):
        Path(self.spill).write_text("a file")
        self.assert_fails(*self.arguments("--ram", self.least()), naming=self.spill)

    def test_nothing_is_left_when_the_program_is_killed(self):
        process = subprocess.Popen(
            [PROGRAM, *map(str, self.arguments("--ram", self.least(), "--raw", tokens=400))],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        process.stdout.read(1)
        process.kill()
        process.communicate()
        self.assertEqual(os.listdir(self.spill), [])


if __name__ == "__main__":
    unittest.main()
