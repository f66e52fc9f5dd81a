"""Files that are broken, cut short or no models: an error of one line, never a crash."""

import json
import os
import random
import resource
import shutil
import struct
import tempfile
import unittest
from pathlib import Path

from program import SANITIZED, ProgramTest, default_model, shoehorn


class HostileFile(ProgramTest):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def copy_of_the_model(self):
        path = self.folder / "model.gguf"
        shutil.copyfile(default_model(), path)
        return path


class CutShort(HostileFile):
    def test_at_every_kind_of_place(self):
        path = self.copy_of_the_model()
        size = path.stat().st_size
        header = [0, 1, 3, 4, 5, 8, 12, 16, 20, 24, 25, 31, 32, 40, 64, 100, 1000]
        middle = [10_000, 100_000, 1_000_000, 2_000_000, size // 3, size // 2]
        end = [size - 100_000, size - 1000, size - 32, size - 1]
        for length in sorted(header + middle + end, reverse=True):
            os.truncate(path, length)
            with self.subTest(length=length):
                self.assert_fails("inspect", path, naming=path)
                self.assert_fails("run", path, "-p", "Hello", naming=path)


class Scribbled(HostileFile):
    """Wrong bytes in the header. What they say may happen to make sense; a crash never does."""

    def check(self, path, offset, value):
        with path.open("r+b") as file:
            file.seek(offset)
            before = file.read(len(value))
            file.seek(offset)
            file.write(value)
            file.flush()
            done = shoehorn("inspect", path)
            self.assertIn(done.returncode, (0, 1), f"{value!r} at {offset}: {done.stderr}")
            if done.returncode == 1:
                self.assertRegex(done.stderr, r"\Aerror: [^\n]+\n\Z", f"{value!r} at {offset}")
            file.seek(offset)
            file.write(before)

    def test_counts_and_lengths(self):
        path = self.copy_of_the_model()
        for offset in (4, 8, 16, 24):  # version, tensors, metadata entries, length of the first key
            for value in (0, 2**31, 2**32 - 1, 2**63, 2**64 - 1):
                size = 4 if offset == 4 else 8
                self.check(path, offset, struct.pack("<Q", value)[:size])

    def test_random_bytes(self):
        path = self.copy_of_the_model()
        generator = random.Random(1)
        for _ in range(60):
            offset = generator.choice((generator.randrange(24, 2000),
                                       generator.randrange(24, 2_000_000)))
            self.check(path, offset, generator.choice((b"\xff" * 8, b"\x00" * 8, b"\x80",
                                                       generator.randbytes(4))))


class NoModel(HostileFile):
    def assert_refused(self, path, naming=None):
        for command in (("inspect", path), ("run", path, "-p", "Hello")):
            self.assert_fails(*command, naming=naming or path)

    def test_other_files(self):
        for name, content in (("empty.gguf", b""), ("text.gguf", b"Hello, world\n" * 100),
                              ("zeros.gguf", b"\0" * 4096), ("other.bin", b"\x7fELF" * 100)):
            path = self.folder / name
            path.write_bytes(content)
            with self.subTest(name=name):
                self.assert_refused(path)

    def test_a_device_and_a_folder_without_a_model(self):
        self.assert_refused("/dev/null")
        self.assert_refused(self.folder)

    def write_folder(self, config, tensors):
        (self.folder / "config.json").write_text(config)
        (self.folder / "model.safetensors").write_bytes(tensors)

    def test_broken_configurations(self):
        for config in ("", "{", "[]", "null", '{"model_type": 7}', '{"model_type": "walrus"}',
                       "[" * 100_000):
            self.write_folder(config, struct.pack("<Q", 2) + b"{}")
            with self.subTest(config=config[:40]):
                self.assert_refused(self.folder, naming="config.json")

    def test_broken_safetensors(self):
        config = json.dumps({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64,
            "intermediate_size": 128, "num_hidden_layers": 1, "num_attention_heads": 4,
            "num_key_value_heads": 4, "vocab_size": 64, "max_position_embeddings": 128,
            "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
            "tie_word_embeddings": True, "torch_dtype": "bfloat16"})
        outside = json.dumps({"model.norm.weight": {"dtype": "BF16", "shape": [64],
                                                    "data_offsets": [0, 1 << 40]}}).encode()
        for header in (b"", b"\x01", struct.pack("<Q", 1 << 63), struct.pack("<Q", 100) + b"{}",
                       struct.pack("<Q", 2) + b"[]", struct.pack("<Q", len(outside)) + outside):
            self.write_folder(config, header)
            with self.subTest(header=header[:40]):
                self.assert_refused(self.folder, naming="model.safetensors")


class LittleMemory(ProgramTest):
    @unittest.skipIf(SANITIZED, "sanitizers reserve more address space than any limit allows")
    def test_an_error_not_a_crash(self):
        for limit_bytes in (64 << 20, 128 << 20, 192 << 20):
            def limit():
                resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
            done = shoehorn("run", default_model(), "-t", "1", "-n", "4", "-p", "Hello",
                            preexec_fn=limit)
            with self.subTest(limit_bytes=limit_bytes):
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertRegex(done.stderr, r"\Aerror: [^\n]+\n\Z")


if __name__ == "__main__":
    unittest.main()
