"""inspect, bench, eval perplexity and doctor: the numbers they report."""

import json
import math
import random
import tempfile
import unittest
from pathlib import Path
from xml.etree import ElementTree

from program import ROOT, ProgramTest, default_model

PARAMETERS = 134_515_008  # SmolLM2-135M: its embedding is its head too


class Inspect(ProgramTest):
    def test_json(self):
        report = json.loads(self.assert_succeeds("inspect", default_model(), "--json"))
        expected = {"architecture": "llama", "num_hidden_layers": 30, "hidden_size": 576,
                    "intermediate_size": 1536, "num_attention_heads": 9, "num_key_value_heads": 3,
                    "head_dim": 64, "vocab_size": 49152, "tie_word_embeddings": True,
                    "rope_theta": 100000.0, "max_position_embeddings": 8192,
                    "parameters": PARAMETERS, "kv_bytes_per_token": 30 * 2 * 3 * 64 * 2}
        for field, value in expected.items():
            self.assertEqual(report[field], value, field)

    def test_parts_add_up(self):
        report = json.loads(self.assert_succeeds("inspect", default_model(), "--json"))
        parts = report["tensors"]
        file_size = Path(default_model()).stat().st_size
        self.assertEqual(sum(part["parameters"] for part in parts), PARAMETERS)
        self.assertLess(sum(part["file_bytes"] for part in parts), file_size)
        self.assertGreater(sum(part["file_bytes"] for part in parts), 0.9 * file_size)
        self.assertLessEqual(sum(part["memory_bytes"] for part in parts), report["memory_bytes"])

    def test_text(self):
        text = self.assert_succeeds("inspect", default_model())
        self.assertIn("llama", text)
        self.assertIn("Q4_1", text)


class Bench(ProgramTest):
    def test_json(self):
        report = json.loads(self.assert_succeeds(
            "bench", default_model(), "-p", "16", "-n", "4", "-d", "0,32", "-b", "1,2", "-r", "2",
            "--json"))
        self.assertEqual(len(report["results"]), 8)
        self.assertGreater(report["read_bytes_per_s"], 0)
        for result in report["results"]:
            self.assertEqual(len(result["samples"]), 2)
            self.assertGreater(result["tokens_per_s"], 0)
            self.assertIn(result["kind"], ("prefill", "decode"))
            if result["kind"] == "decode":
                self.assertGreater(result["limit_share"], 0)

    def test_text(self):
        text = self.assert_succeeds("bench", default_model(), "-p", "8", "-n", "2", "-r", "1")
        self.assertIn("pp8", text)
        self.assertIn("tg2", text)
        self.assertIn("tokens/s", text)

    def test_timeline(self):
        few = ("bench", default_model(), "-p", "8", "-n", "2", "-r", "1", "--json")
        with tempfile.TemporaryDirectory() as folder:
            trace = Path(folder) / "t.json"
            self.assert_succeeds(*few, "--timeline", trace)
            events = json.loads(trace.read_text())["traceEvents"]
            spans = [event for event in events if event["ph"] == "X"]
            layers = {span["args"]["layer"] for span in spans if "args" in span}
            self.assertEqual(layers, set(range(30)))
            self.assertEqual({span["pid"] for span in spans}, {1, 2})  # a prompt, a token
            drawing = Path(folder) / "t.svg"
            self.assert_succeeds(*few, "--timeline", drawing)
            self.assertTrue(ElementTree.parse(drawing).getroot().tag.endswith("svg"))
            self.assert_fails(*few, "--timeline", Path(folder) / "no" / "t.svg", naming="t.svg")
        self.assert_usage_error(*few, "--timeline", "t.png")

    def test_nothing_to_measure(self):
        self.assert_fails("bench", default_model(), "-p", "0", "-n", "0", naming="--prompt")


class Perplexity(ProgramTest):
    def perplexity(self, text, *arguments):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "text.txt"
            path.write_text(text)
            report = json.loads(self.assert_succeeds("eval", "perplexity", default_model(), path,
                                                     "--json", *arguments))
        self.assertTrue(math.isclose(report["perplexity"], math.exp(report["mean_nll"]),
                                     rel_tol=1e-6))
        return report

    def test_english_surprises_less_than_its_words_in_disorder(self):
        text = (ROOT / "LICENSE").read_text()[:3000]
        words = text.split()
        random.Random(1).shuffle(words)
        english = self.perplexity(text, "--context", "256")
        disorder = self.perplexity(" ".join(words), "--context", "256")
        self.assertGreater(english["perplexity"], 1)
        self.assertLess(english["perplexity"], 30)
        self.assertGreater(disorder["perplexity"], 5 * english["perplexity"])

    def test_more_context_surprises_less(self):
        text = (ROOT / "LICENSE").read_text()[:3000]
        little = self.perplexity(text, "--context", "64")
        more = self.perplexity(text, "--context", "64", "--stride", "16")
        self.assertGreater(little["scored_tokens"], 300)
        self.assertLess(more["perplexity"], little["perplexity"])

    def test_a_missing_text(self):
        self.assert_fails("eval", "perplexity", default_model(), "/no/such/text",
                          naming="/no/such/text")


class Doctor(ProgramTest):
    def test_json(self):
        report = json.loads(self.assert_succeeds("doctor", "--json"))
        self.assertGreaterEqual(report["physical_cores"], 1)
        self.assertGreaterEqual(report["default_threads"], 1)
        self.assertGreater(report["memory_bytes"], report["available_memory_bytes"])
        self.assertIn(report["isa"], ("generic", "avx2", "avx512", "avx512_bf16", "amx"))
        self.assertGreaterEqual(len(report["machine"]["cpu_read"]), 1)
        for measured in report["machine"]["cpu_read"] + report["machine"]["cpu_linear"]:
            self.assertGreater(measured["bytes_per_s"], 1e7)

    def test_measures_once(self):
        self.assert_succeeds("doctor", "--json")
        kept = json.loads(self.assert_succeeds("doctor", "--json"))
        self.assertFalse(kept["measured_now"])
        again = json.loads(self.assert_succeeds("doctor", "--again", "--json"))
        self.assertTrue(again["measured_now"])
        self.assertFalse(json.loads(self.assert_succeeds("doctor", "--json"))["measured_now"])

    def test_text(self):
        text = self.assert_succeeds("doctor")
        for word in ("processor", "memory", "disk"):
            self.assertIn(word, text)


if __name__ == "__main__":
    unittest.main()
