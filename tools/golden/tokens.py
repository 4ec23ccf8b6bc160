#!/usr/bin/env python
"""Captions and their ids by transformers. Usage: tokens.py tests/golden

tokens.json: rows of raw text, the caption normaliser at 30 and 50 words (BLIP's pre_caption), ids of the fast tokenizer of the
normalised (30) and of the raw text, and ids of the slow tokenizer with Stable Diffusion 2's pad token `!`.
"""
import sys, json, pathlib, random, re
from transformers import CLIPTokenizerFast

out = pathlib.Path(sys.argv[1])
fast = CLIPTokenizerFast.from_pretrained(out / "clip")


def pre_caption(caption, max_words):
    caption = re.sub(r"([.!\"()*#:;~])", " ", caption.lower())
    caption = re.sub(r"\s{2,}", " ", caption).rstrip("\n").strip(" ")
    return " ".join(caption.split(" ")[:max_words])


TEXTS = """Two young, White males are outside near many bushes.
A man in a blue shirt is standing on a ladder cleaning a window
it's a man's bike -- and they're riding, isn't it? I'LL we'd you'VE
text, watermark
it’s “curly” – dashes — and…ellipsis
ﬁne ligature № ½ ²
İstanbul ǅ ß
naïve café e\u0301 e\u0301\u0323 Å Å ﬀ
日本語のキャプション と 한국어 والعربية עברית हिन्दी ไทย
👍🏽 👩‍👩‍👧‍👦 🇩🇪 ❤️ 😀😀😀😀
<|endoftext|> in the middle <|startoftext|> of it<|endoftext|>
<|EndOfText|> <|startoftext |>
hello!world ! !!! "quoted" (paren) *star* #tag a:b;c~d
1234567890 3.14 1,000 x2 2x ٣ Ⅷ
''' 's 't 're 've 'm 'll 'd 'x s' 'S
a_b-c/d\\e|f@g.com https://example.org/?q=1&r=2
\u00a0non\u00a0breaking\u2003em\u200bzero\u200dwidth\ufeffbom
\u202eright to left\u202c \u0000nul\u0007bell\u001b[31mred\u001b[0m \u007f \u0085next""".split("\n")
TEXTS += ["", " ", "\t\n\r \v\f", "a\nb\n\nc\r\nd", "!", "a" * 300, "ab " * 120, "word, " * 200, "é" * 100, "." * 500, "x" + " " * 500 + "y", "\U0010ffff\ue000\ufffd"]
rng = random.Random(0)
POOLS = ["abcdefghijklmnopqrstuvwxyz     '", "AaBb 'sStT.,!?-_\"()0123456789 ", "äöüßéèçñ ÀÉÎÕÜ ǅŉſİı ", "\u0300\u0301\u0327\u1100\u1161\u11a8가 eao",
         "\u0000\u0001\u001f\u0020\u0085\u00a0\u1680\u2000\u2028\u2029\u3000\u200b\u180e a", "<|endoftext|> <|startoftext|>", "日本語العربية 😀👍🏽‍", None]
for i in range(180):
    pool = POOLS[i % len(POOLS)]
    pick = (lambda: rng.choice(pool)) if pool else (lambda: chr(rng.choice([rng.randrange(0xd800), rng.randrange(0xe000, 0x30000)])))
    TEXTS.append("".join(pick() for _ in range(rng.randrange(1, 60))))
rows = []
for raw in TEXTS:
    c30 = pre_caption(raw, 30)
    rows.append({"raw": raw, "pre_caption30": c30, "pre_caption50": pre_caption(raw, 50),
                 "fast": fast(c30, truncation=True, max_length=77)["input_ids"], "fast_raw": fast(raw, truncation=True, max_length=77)["input_ids"]})
with open(out / "tokens.json", "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")
