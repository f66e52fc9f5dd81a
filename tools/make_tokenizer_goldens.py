#!/usr/bin/env python3
"""Writes tests/golden/tokenizer/<family>.json and <family>.cases.json.

The first is a small tokenizer.json with the pre-tokenizer, normalizer and special tokens of a model
family, trained here; the second holds texts with the ids that Hugging Face `tokenizers` gives them.
Needs: pip install tokenizers.

    python3 tools/make_tokenizer_goldens.py tests/golden/tokenizer
"""

import argparse
import email.message
import inspect
import json
import logging
import pathlib
import random
import sys

import tokenizers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

VOCABULARY_SIZE = 1400

LETTERS = (
    "41-5A 61-7A B5 C0-D6 D8-F6 F8-1BA 1BC-1BF 1C4-293 295-2AF 370-373 376 377 37B-37D 37F "
    "386 388-38A 38C 38E-3A1 3A3-3F5 3F7-481 48A-52F 531-556 10A0-10C5 13A0-13F5 13F8-13FD "
    "1C90-1CBA 1CBD-1CBF 1D00-1D2B 1D6B-1D77 1D79-1D9A 1E00-1F15 1F18-1F1D 1F20-1F45 "
    "1F48-1F4D 1F50-1F57 1F59 1F5B 1F5D 1F5F-1F7D 1F80-1FB4 1FB6-1FBC 1FBE 1FC2-1FC4 "
    "1FC6-1FCC 1FD0-1FD3 1FD6-1FDB 1FE0-1FEC 1FF2-1FF4 1FF6-1FFC 2102 2107 210A-2113 2115 "
    "2119-211D 2124 2126 2128 212A-212D 212F-2134 2139 213C-213F 2145-2149 214E 2183 2184 "
    "2C00-2C7B 2C7E-2CE4 2CEB-2CEE 2CF2 2CF3 A640-A66D A680-A69B A722-A76F A771-A787 "
    "A78B-A78E AB70-ABBF FB00-FB06 FB13-FB17 FF21-FF3A FF41-FF5A 10400-1044F 104B0-104D3 "
    "104D8-104FB 10C80-10CB2 10CC0-10CF2 118A0-118DF 1E900-1E943"
)


def character_class(ranges):
    members = ("-".join(chr(int(end, 16)) for end in r.split("-")) for r in ranges.split())
    return "[" + "".join(members) + "]+"


CJK = character_class("4E00-9FA5 800-4E00 AC00-D7FF")
V3_CJK = character_class("4E00-9FA5 3040-309F 30A0-30FF")
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
DEEPSEEK_V3 = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"""
    r""" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
)
DIGITS = pre_tokenizers.Digits(individual_digits=True)


def splits(*patterns):
    return [pre_tokenizers.Split(Regex(p), "isolated") for p in patterns]


def sequence(*parts):
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([*parts, last])


def gpt2():
    return pre_tokenizers.ByteLevel(add_prefix_space=False)


BEGIN, END = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
# family: pre-tokenizer, special added tokens, ordinary added tokens, bytes the vocabulary lacks.
NEVER_UTF8 = [0xC0, 0xC1, *range(0xF5, 0x100)]
FAMILIES = {
    "deepseek_llm": (
        sequence(
            *splits(
                "[\r\n]",
                r"\s?" + character_class(LETTERS),
                r"\s?" + character_class("21-2F 3A-7E FF01-FF0F FF1A-FF5E 2018-201F 3000-3002"),
                r"\s+$",
                CJK,
            ),
            DIGITS,
        ),
        [BEGIN, END],
        list("øöúÿõ÷ûýÀùÁþü"),
        NEVER_UTF8,
    ),
    "deepseek_coder": (
        sequence(*splits("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK), DIGITS),
        [BEGIN, END],
        [*"õ÷ÁýÀÿøúþüùöû", "<｜fim▁hole｜>", "<｜fim▁begin｜>", "<｜fim▁end｜>", "<|EOT|>"],
        NEVER_UTF8,
    ),
    "deepseek_v3": (
        sequence(*splits(r"\p{N}{1,3}", V3_CJK, DEEPSEEK_V3)),
        [BEGIN, END, "<｜▁pad▁｜>", *(f"<｜place▁holder▁no▁{i}｜>" for i in range(20))],
        ["<｜User｜>", "<｜Assistant｜>", "<think>", "</think>", "<｜tool▁sep｜>"],
        NEVER_UTF8,
    ),
    "qwen2": (
        sequence(*splits(LLAMA3.replace("{1,3}", ""))),
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        ["<tool_call>", "</tool_call>"],
        [],
    ),
    "llama_bpe": (
        sequence(*splits(LLAMA3)),
        [f"<|{t}|>" for t in "begin_of_text end_of_text start_header_id eot_id".split()],
        [],
        [],
    ),
    "smollm": (
        pre_tokenizers.Sequence([DIGITS, gpt2()]),
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        [],
        [4, 6, 0x13, 0x1D, 0xC0, 0xC1, 0xF1, 0xF2, *range(0xF5, 0x100)],
    ),
    "gpt_2": (gpt2(), ["<|endoftext|>"], [], []),
}

TEXTS = [
    "", " ", "  ", "   ", "\n", "\n\n", "\n\n\n", "\t", "\t\t\n", " \n ", "\r\n", "\r\n\r\n", "\r",
    " \r\n  x", "a\r\n\r\nb", "Hello", " Hello", "Hello, world!", "Hello,   world  ",
    "hello  \n\n  world\n", "trailing   ", "   leading",
    "The quick brown fox jumps over the lazy dog.",
    "UPPER lower MiXeD camelCase snake_case kebab-case",
    "I'm sure they'll say it's what we've done, don't you? He'd agree.",
    "I'M SURE THEY'LL SAY IT'S WE'VE HE'D DON'T", "'s't're've'm'll'd", "'S'T'RE'VE'M'LL'D",
    "'ſ it'ſ x'ſx", "a'b 'quoted' ''double'' '", "’s it’s ‘quoted’ “double”", "0", "7", "42", "007",
    "1234", "12345678901234567890", "3.14159", "1,234,567.89", "x1y22z333w4444", "1 22 333 4444",
    "½ ¾ ² ³ Ⅳ ⅷ ① ⑩", "٠١٢٣٤٥", "१२३४", "１２３４５", "𝟎𝟏𝟐𝟑", "〇一二三", "0x1F 1e-9 2_000",
    "def f(x):\n    return x+1\n", "for (int i = 0; i < n; ++i) {\n\tsum += a[i];\n}\n",
    "if (a && !b || c != d) { return; } // comment\n", "#include <vector>\n#define X(a) (a)##b\n",
    '{"key": "value", "n": [1, 2, 3], "t": true}', "<div class=\"x\">text</div>",
    "SELECT * FROM t WHERE a='b';",
    "$HOME/bin:/usr/bin $PATH ~user a@b.c https://example.org/a?b=c&d=e#f",
    "x = y**2 + z//3 - w%4 ^ v | u & t",
    "\\n\\t\\\\ `code` ~~strike~~ **bold** __init__ ---- ==== ....", "a\tb\tc\n\td\n\t\te",
    "    indented\n        more\n", "你好，世界", "你好世界。今天天气很好！", "中文 English 混合 text 测试123数字",
    "我是一个语言模型，可以回答问题。", "龥龦㐀䶵𠀀𪛖", "こんにちは、世界。", "カタカナ・ひらがな　全角スペース", "ラーメンを食べました。", "゛濁点゜ ヽヾ ゝゞ ー",
    "日本語テキスト123個", "안녕하세요 세계", "한국어 텍스트입니다.", "ᄒ\u1161\u11ab", "가나다라마바사", "ㄅㄆㄇ 注音",
    "Привет, мир! Как дела?", "Ελληνικά γράμματα ώστε", "שלום עולם", "مرحبا بالعالم، كيف حالك؟",
    "हिन्दी में नमस्ते", "สวัสดีชาวโลก", "Cửa Việt đã mở", "Führer Übermut Größe straße",
    "naïve façade Ångström œuvre", "øöúÿõ÷ûýÀùÁþü", "Łódź Żółć ğüşıöç",
    "e\u0301 a\u0323\u0302 n\u0303", "\u0301 lone mark", "a\u0301\u0323b",
    "\u212b \u2126 \ufb01 \u1e9b\u0323", "각 \u1100\u1161\u11a8", "😀😃😄", "👩‍💻 👨‍👩‍👧‍👦 🏳️‍🌈",
    "🇩🇪🇫🇷 👍🏽", "❤️ ☺︎ ✂️ ⚠️", "🚀🚀🚀 to the moon🌙", "a😀b 😀 1😀2", "！＃＄（）＊，．／：；＜＞？＠［］｛｝～", "ＡＢＣａｂｃ",
    "　全角　空白　", "、。〃〈〉《》「」『』【】〔〕", "—–‐…‥•·※§¶", "€100 £50 ¥1000 $5 ₿0.1",
    "a → b ⇒ c ∀x∈ℝ ∑ √2 ≤ ≥ ≠ ±", "©®™ °C µm", "┌─┐│└┘ ▁▂▃ ■□", "\u00a0nbsp\u00a0\u00a0x",
    "\u2003em\u2003space", "a\u2028b\u2029c", "\u200bzero\u200bwidth\ufeff", "soft\u00adhyphen",
    "\u0085next\u0085line", "\u000bvt\u000cff", "\u180emongolian", "\u0000nul\u0001soh\u007fdel",
    "a\u0004b\u0006c\u0013d\u001de", "\ue000private\uf8ff", "\u0378unassigned\uffff",
    "\U000e0001tag\U0010ffff", "\U00010400\U00010428 deseret", "\u3097\u3098 \u3040\u30ff",
    "é è ê ë ē ė ę", "ƻ ʔ Ƽ ǆ ª º", "ﬀ ﬃ ﬅ ﬗ", "Ⅰ Ⅱ ↄ Ↄ", "aa" * 40, "ab" * 60, " " * 70 + "x",
    "\n" * 30, "!" * 50, "9" * 31, "你" * 40,
]

SPECIAL_TEXTS = [
    "{0}", "{0}{1}", "a{0}b", "{0} {1} x", "x{0}\n\n{1}", "{0}{0}{0}", "<{0}>", "{0}你好{1}", "'{0}s",
    "12{0}34", "a {0}", "{0} a", "{0}\u0301", "e{0}\u0301",
]


def corpus():
    yield from TEXTS
    for module in (argparse, logging, json, random, email.message):
        for member in vars(module).values():
            if inspect.isclass(member) or inspect.isfunction(member):
                yield inspect.getdoc(member) or ""
    for _ in range(4):
        yield from (t for t in TEXTS if len(set(t)) > 8)


def random_texts(count):
    generator = random.Random(1)
    characters = sorted(set("".join(TEXTS)))
    usual = "  \n'etaoin,.1你好"
    for _ in range(count):
        length = generator.randint(1, 24)
        sources = [characters if generator.random() < 0.6 else usual for _ in range(length)]
        yield "".join(generator.choice(source) for source in sources)


def train(family):
    pre_tokenizer, special, ordinary, missing = FAMILIES[family]
    tokenizer = Tokenizer(models.BPE(ignore_merges=family == "llama_bpe"))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    if family == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    # Characters of the alphabet in byte order, as the byte-to-unicode table assigns them.
    own = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    other = [b for b in range(256) if b not in own]
    symbol = {b: chr(b) for b in own} | {b: chr(256 + i) for i, b in enumerate(other)}
    alphabet = [symbol[b] for b in range(256) if b not in missing]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.add_special_tokens(special)
    tokenizer.add_tokens([tokenizers.AddedToken(t, normalized=False) for t in ordinary])
    data = json.loads(tokenizer.to_str())
    if family == "llama_bpe":  # tokens that merges do not reach: only ignore_merges finds them
        data["model"]["merges"] = [m for i, m in enumerate(data["model"]["merges"]) if i % 9 != 4]
    if len(family) % 2 == 0:  # both spellings of merges are in use
        data["model"]["merges"] = [" ".join(m) for m in data["model"]["merges"]]
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def cases(family, text):
    tokenizer = Tokenizer.from_str(text)
    special = [t.content for t in tokenizer.get_added_tokens_decoder().values()]
    texts = TEXTS + list(random_texts(150))
    for i, item in enumerate(SPECIAL_TEXTS):
        texts.append(item.format(special[0], special[-1]))
        texts.append(item.format(special[i % len(special)], special[0]))
    texts += special
    rows = []
    for item in texts:
        tokenizer.encode_special_tokens = False
        row = {"text": item, "ids": tokenizer.encode(item, add_special_tokens=False).ids}
        tokenizer.encode_special_tokens = True
        plain = tokenizer.encode(item, add_special_tokens=False).ids
        if plain != row["ids"]:
            row["ids_without_special"] = plain
        rows.append(row)
    return rows


def main():
    folder = pathlib.Path(sys.argv[1])
    for family in FAMILIES:
        text = train(family)
        (folder / f"{family}.json").write_text(text + "\n", encoding="utf-8")
        rows = [json.dumps(row, separators=(",", ":")) for row in cases(family, text)]
        rows = "[\n" + ",\n".join(rows) + "\n]\n"
        (folder / f"{family}.cases.json").write_text(rows, encoding="utf-8")


if __name__ == "__main__":
    main()
