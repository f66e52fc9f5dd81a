"""Failures made on purpose (SHOEHORN_FAULT): one line of error, or the right answer anyway."""

import tempfile
from pathlib import Path

from program import GREEDY, ProgramTest, default_model, shoehorn

POINTS = {  # with the calls worth refusing, and whether one of them must end the program
    "host_allocation": (range(1, 6), True),
    "file_open": (range(1, 6), True),
    "file_map": (range(1, 3), True),
    "file_read": (range(1, 6), False),  # facts about the machine that it does without
    "file_truncated": (range(1, 3), True),
}


def armed(fault):
    return {"SHOEHORN_FAULT": fault, "SHOEHORN_LOG": "error"}


class Faults(ProgramTest):
    def run_with(self, environment):
        return shoehorn("run", default_model(), "-p", "The capital of France is", "-n", 8,
                        "--vram", "0", *GREEDY, environment=environment)

    def test_running_a_model(self):
        right = self.run_with({}).stdout
        self.assertNotEqual(right, "")
        for point, (calls, ends) in POINTS.items():
            failed = 0
            for fault in [f"{point}:{call}" for call in calls] + [f"{point}:1+"]:
                with self.subTest(fault=fault):
                    done = self.run_with(armed(fault))
                    if done.returncode == 0:
                        self.assertEqual(done.stdout, right)
                    else:
                        failed += 1
                        self.assertEqual(done.returncode, 1, done.stderr)
                        self.assertRegex(done.stderr, r"\Aerror: [^\n]+\n\Z")
            self.assertEqual(failed > 0, ends, point)
        self.assertEqual(self.run_with({}).stdout, right)

    def test_writing_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.gguf"
            write = ("synth", "smollm2-135m", "--layers", 1, "-o", path)
            for call in (1, 2):
                self.assert_fails(*write, naming=path, environment=armed(f"disk_write:{call}"))
                self.assertEqual(list(Path(folder).iterdir()), [])
            self.assert_succeeds(*write)

    def test_what_is_no_fault(self):
        for text in ("disk", "disk_write", "disk_write:x", "disk:1"):
            done = shoehorn("inspect", default_model(), environment=armed(text))
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertRegex(done.stderr, r"\Aerror: SHOEHORN_FAULT: expected [^\n]+\n\Z")
