"""plan and synth: a model's fit before there is a model, and a file of its shape to measure."""

import json
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from program import GREEDY, ProgramTest, default_model

GIB = 1 << 30
THE_67B = ("plan", "deepseek-llm-67b", "--bits", "4")
SERVER = ("--machine", "h100-16-cores")


class Plan(ProgramTest):
    def plan(self, *arguments):
        return json.loads(self.assert_succeeds(*arguments, "--json"))

    def test_the_67b_inside_16_gib(self):
        report = self.plan(*THE_67B, *SERVER, "--vram", "16GiB", "--ram", "64GiB")
        self.assertEqual(report["parameters"], 67_425_001_472)
        self.assertLessEqual(report["vram_bytes"], 16 * GIB)
        self.assertEqual(sum(part["vram_bytes"] for part in report["parts"]), report["vram_bytes"])
        self.assertEqual(sum(part["ram_bytes"] for part in report["parts"]), report["ram_bytes"])
        self.assertAlmostEqual(report["decode_tokens_per_s"], 5.5, delta=0.2)
        self.assertEqual(len(report["layers"]), 95)
        for layer in report["layers"]:
            self.assertEqual(layer["vram"] + layer["cpu"] + layer["stream"], 43)
        helps = [change["change"] for change in report["would_help"]]
        self.assertIn("3 bits a weight", helps)
        self.assertIn("8 GiB more VRAM", helps)

    def test_attention_that_does_not_fit_is_streamed(self):
        report = self.plan(*THE_67B, *SERVER, "--vram", "6GiB", "--ram", "64GiB")
        places = [layer["attention"] for layer in report["layers"]]
        self.assertEqual(set(places), {"vram", "streamed"})
        streamed = [part for part in report["parts"] if part["kind"] == "attention_streamed"]
        self.assertEqual(len(streamed), 1)
        self.assertGreater(streamed[0]["ram_bytes"], 0)
        self.assertIn(f"attention of {places.count('streamed')} of 95 layers is streamed",
                      self.assert_succeeds(*THE_67B, *SERVER, "--vram", "6GiB"))

    def test_a_card_that_holds_too_little_is_left_idle(self):
        report = self.plan(*THE_67B, *SERVER, "--vram", "2GiB")
        self.assertEqual(report["vram_bytes"], 0)
        self.assertEqual({layer["attention"] for layer in report["layers"]}, {"ram"})
        self.assertIn("VRAM budget: expected at least",
                      self.assert_succeeds(*THE_67B, *SERVER, "--vram", "2GiB"))

    def test_text(self):
        text = self.assert_succeeds(*THE_67B, *SERVER, "--vram", "16GiB")
        for word in ("deepseek-llm-67b", "int4 g64 f16", "KV cache", "tokens/s", "bound by",
                     "what would help"):
            self.assertIn(word, text)

    def test_files(self):
        """A model's own files: their bytes, not those of --bits."""
        report = self.plan("plan", default_model(), "--machine", "rtx-4090")
        self.assertEqual(report["parameters"], 134_515_008)
        self.assertLess(report["disk_bytes"], Path(default_model()).stat().st_size)
        self.assertEqual({layer["cpu"] + layer["stream"] for layer in report["layers"]}, {0})

    def test_a_config_without_weights(self):
        config = {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 256,
                  "intermediate_size": 512, "num_attention_heads": 4, "vocab_size": 1000}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "config.json"
            path.write_text(json.dumps(config))
            self.assert_fails("plan", path, *SERVER, naming="--bits")
            for model in (path, folder):
                report = self.plan("plan", model, "--bits", "8", *SERVER)
                self.assertEqual(report["weights"], "int8 g64 f16")
                self.assertEqual(len(report["layers"]), 2)

    def test_a_machine_of_ones_own(self):
        profiles = json.loads(self.assert_succeeds("plan", "--list-machines", "--json"))
        profile = next(one for one in profiles if one["name"] == "rtx-4090")
        profile["name"] = "mine"
        profile["cpu_read_bytes_per_s"] *= 2
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "mine.json"
            path.write_text(json.dumps(profile))
            mine = self.plan(*THE_67B, "--machine", path, "--vram", "16GiB")
            del profile["h2d"]
            path.write_text(json.dumps(profile))
            self.assert_fails(*THE_67B, "--machine", path, naming="h2d")
        theirs = self.plan(*THE_67B, "--machine", "rtx-4090", "--vram", "16GiB")
        self.assertEqual(mine["machine"]["name"], "mine")
        self.assertGreater(mine["decode_tokens_per_s"], theirs["decode_tokens_per_s"])

    def test_svg(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "map.svg"
            self.assert_succeeds(*THE_67B, *SERVER, "--vram", "16GiB", "--svg", path)
            root = ElementTree.parse(path).getroot()
            self.assert_fails(*THE_67B, *SERVER, "--svg", Path(folder) / "no" / "map.svg",
                              naming="no/map.svg")
        text = " ".join(root.itertext())
        for word in ("VRAM", "RAM", "Disk", "attention", "tokens/s"):
            self.assertIn(word, text)
        width = float(root.get("width"))
        for rectangle in root.iter("{http://www.w3.org/2000/svg}rect"):
            self.assertGreaterEqual(float(rectangle.get("x")), 0)
            self.assertLess(float(rectangle.get("x")), width)

    def test_what_ram_does_not_hold_is_read_from_disk(self):
        text = self.assert_succeeds(*THE_67B, "--machine", "rtx-4080", "--ram", "16GiB")
        self.assertRegex(text, r"bytes +VRAM +RAM +disk\n")
        self.assertRegex(text, r"Of them \d+ (to \d+ )?are read from disk in every step")
        self.assertIn("bound by the disk", text)
        self.assertIn("RAM for all weights (--ram ", text)
        plan = json.loads(self.assert_succeeds(*THE_67B, "--machine", "rtx-4080", "--ram", "16GiB",
                                               "--json"))
        on_disk = sum(layer["disk"] for layer in plan["layers"])
        self.assertEqual(plan["disk_bytes_per_step"], on_disk * plan["unit_bytes"])
        self.assertLessEqual(plan["ram_bytes"], 16 << 30)

    def test_what_does_not_fit(self):
        error = self.assert_fails(*THE_67B, "--machine", "rtx-4080", "--ram", "1GiB",
                                  naming="RAM budget")
        self.assertIn("would fit", error)
        self.assertIn("--ram", error)

    def test_wrong_usage(self):
        self.assert_usage_error("plan")
        self.assert_usage_error("plan", "deepseek-llm-67b", "--bits", "7", *SERVER)
        self.assert_fails("plan", "no-such-model", *SERVER, naming="deepseek-llm-67b")
        self.assert_fails(*THE_67B, "--machine", "no-such-machine", naming="rtx-4090")
        self.assert_fails(*THE_67B, *SERVER, "--vram", "much", naming="--vram")
        self.assert_fails(*THE_67B, *SERVER, "--context", "5000", naming="--context")


class Synth(ProgramTest):
    def test_a_file_that_runs(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "m.gguf"
            made = json.loads(self.assert_succeeds("synth", "smollm2-135m", "--bits", "4",
                                                   "--layers", "2", "-o", path, "--json"))
            self.assertEqual(path.stat().st_size, made["bytes"])
            self.assertEqual([path], list(Path(folder).iterdir()))
            report = json.loads(self.assert_succeeds("inspect", path, "--json"))
            self.assertEqual(report["num_hidden_layers"], 2)
            self.assertEqual(report["vocab_size"], 49152)
            self.assert_succeeds("run", path, "-p", "Hello", "--max-tokens", "4", *GREEDY,
                                 "--context", "256")

    def test_the_seed_fixes_the_bytes(self):
        with tempfile.TemporaryDirectory() as folder:
            def synth(*arguments):
                path = Path(folder) / "m.gguf"
                self.assert_succeeds("synth", "smollm2-135m", "--layers", "1", "--type", "q4_0",
                                     "-o", path, *arguments)
                return path.read_bytes()
            first = synth()
            self.assertEqual(first, synth("-t", "1"))
            self.assertNotEqual(first, synth("--seed", "2"))

    def test_wrong_usage(self):
        self.assert_usage_error("synth", "no-such-model", "-o", "x")
        self.assert_usage_error("synth", "smollm2-135m")
        self.assert_fails("synth", "smollm2-135m", "-o", "/no/such/folder/m.gguf",
                          naming="/no/such/folder")
        self.assert_fails("synth", "smollm2-135m", "-o", "/tmp/m.gguf", "--layers", "31",
                          naming="30")


if __name__ == "__main__":
    unittest.main()
