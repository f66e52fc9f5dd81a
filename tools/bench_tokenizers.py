#!/usr/bin/env python3
"""Hugging Face `tokenizers` on one core, the rival of bench/formats/tokenizer_bench.cc.

    python3 tools/bench_tokenizers.py vocabulary.gguf family text.txt

`family` names the tokenizer in tests/golden/tokenizer whose pre-tokenizer the vocabulary goes with.
The text is encoded in parts of 4000 characters, which suits `tokenizers` better than the whole.
Prints CPU time, so that a busy machine does not count. Needs: pip install gguf tokenizers.
"""

import json
import os
import pathlib
import sys
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from gguf import GGUFReader  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

GOLDEN = pathlib.Path(__file__).parent.parent / "tests/golden/tokenizer"
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4
PART_CHARACTERS = 4000


def tokenizer_json(path, family):
    fields = GGUFReader(path).fields
    strings = lambda key: [bytes(fields[key].parts[i]).decode() for i in fields[key].data]
    types = fields["tokenizer.ggml.token_type"]
    types = [int(types.parts[i][0]) for i in types.data]
    tokens = strings("tokenizer.ggml.tokens")
    data = json.loads((GOLDEN / f"{family}.json").read_text(encoding="utf-8"))
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    data["added_tokens"] = [
        {"id": i, "content": token, "special": types[i] == CONTROL, **flags}
        for i, token in enumerate(tokens)
        if types[i] in (CONTROL, USER_DEFINED) and token != f"[PAD{i}]"
    ]
    data["model"]["vocab"] = {token: i for i, token in enumerate(tokens) if types[i] == NORMAL}
    data["model"]["merges"] = strings("tokenizer.ggml.merges")
    return json.dumps(data)


def main():
    vocabulary, family, text_path = sys.argv[1:]
    tokenizer = Tokenizer.from_str(tokenizer_json(vocabulary, family))
    text = pathlib.Path(text_path).read_bytes().decode()
    parts = [text[i : i + PART_CHARACTERS] for i in range(0, len(text), PART_CHARACTERS)]
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        count = sum(len(tokenizer.encode(part, add_special_tokens=False).ids) for part in parts)
        best = min(best, time.process_time() - start)
    print(f"{len(text.encode()) / best / 1e6:.2f} MB/s, {count} tokens")


if __name__ == "__main__":
    main()
