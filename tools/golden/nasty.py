#!/usr/bin/env python
"""Token ids by transformers: of 2,000 nasty strings for every test run, or of a whole vocabulary's captions once by hand.

nasty.py tests/golden
    nasty.json: pieces that strings are drawn from, and a hash of each string's ids with the tokenizer of tests/golden/clip.
nasty.py OUT.json BPE.txt.gz [CAPTIONS.json ...]
    For the real vocabulary (OpenAI's bpe_simple_vocab_16e6.txt.gz): writes it as a tokenizer's folder beside OUT.json, and to
    OUT.json every nasty string and caption, raw and normalised, with its ids. Compare with:
    PROTOSTILL_TOKENS=OUT.json cargo test --release --test golden tokens -- --ignored --nocapture
"""
import gzip, hashlib, json, pathlib, re, sys

from transformers import CLIPTokenizer, CLIPTokenizerFast

COUNT = 2000
# A piece is a text, or the ends of a range of code points.
POOLS = {
    "emoji": ["👍🏽", "👩‍👩‍👧‍👦", "🇩🇪", "❤️", "❤", "😀", "🏳️‍🌈", "1️⃣", "👨🏿‍🦱", "☠️", " ", "a", "dog", [0x1F300, 0x1FAFF], [0x2600, 0x27BF]],
    "cjk": ["日本語", "の", "キャプション", "한국어", "汉字", "，", "。", "　", "「犬」", "ｆｕｌｌ", "ﾊﾝｶｸ", " ", [0x4E00, 0x9FFF], [0xAC00, 0xD7A3], [0x3040, 0x30FF], [0x1100, 0x11FF]],
    "combining": ["e\u0301", "e\u0301\u0323", "é", "ﬁ", "Å", "Å", "ñ", "n\u0303", "İ", "ı", "ß", "ẞ", "ǅ", "q\u0307\u0323", " ", "a", "\u0344", "\u1e9b\u0323", [0x0300, 0x036F], [0x1AB0, 0x1AFF], [0x00C0, 0x024F]],
    "quotes": ["'", "''", "’", "‘", "“", "”", "\"", "`", "´", "'s", "'S", "'t", "’re", "'ve", "'LL", "'d", "«", "»", "it", "isn", "dog", " ", "…", "--", "—", "_"],
    "html": ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;", "&#x1F600;", "&nbsp;", "&amp;amp;", "<b>", "</b>", "<br/>", "&", ";", "#", "%20", "<!-- ", " -->", " ", "dog", "a=1"],
    "control": [[0x00, 0x1F], [0x7F, 0x9F], "\u200b", "\u200d", "\ufeff", "\u00ad", "\u2028", "\u2029", "\u202e", "\u202c", "\u180e", "\u1680", "\u00a0", "\u3000", "\x85", "\x1b[31m", " ", "a", "dog"],
    "words": ["a", "man", "women", "riding", "skateboard", "frisbee", "snowboarder", "giraffe", "refrigerator", "the", "of", "in", "on", "with", "two", "t-shirt", "22", "3rd", "o'clock", "New York", " ", " ", " ", ", ", ".", "!", "CAPS", "CamelCase"],
    "numbers": ["0", "1", "12", "1,000", "3.14", "½", "²", "Ⅷ", "٣", "१२", "①", "10°C", "$5", "€", "x2", " ", [0x2150, 0x218B], [0x0660, 0x0669]],
    "special": ["<|endoftext|>", "<|startoftext|>", "<|EndOfText|>", "<|startoftext |>", "<|", "|>", "</w>", "<unk>", "[CLS]", "!", " ", "dog"],
    "scripts": ["العربية", "עברית", "हिन्दी", "ไทย", "Ελληνικά", "кошка", "ქართული", "\u0651", "ﷺ", "ꙮ", "𝔘𝔫𝔦", "𐍈", " ", "'", [0x0370, 0x03FF], [0x0400, 0x04FF], [0x0590, 0x06FF], [0x0900, 0x0D7F], [0x0E00, 0x0E7F]],
    "planes": [[0x20, 0x7E], [0xA0, 0xD7FF], [0xE000, 0xFFFD], [0x10000, 0x1FFFF], [0x20000, 0x2FFFF], [0xE0000, 0xE01EF], [0x10FF00, 0x10FFFF], " "],
}


def nasty(pools, count):
    """The same strings as tests/golden_tokens.rs draws: Knuth's MMIX generator, its high bits."""
    state = 1

    def draw(n):
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (state >> 33) % n

    for i in range(count):
        pool = pools[i % len(pools)]
        pieces = 1 + draw(40)
        if i % 50 == 49:
            pieces *= 1 + draw(60)
        text = ""
        for _ in range(pieces):
            piece = pool[draw(len(pool))]
            if not isinstance(piece, str):
                piece = chr(piece[0] + draw(piece[1] - piece[0] + 1))
            text += piece
        yield text


def ids(tokenizer, texts):
    return tokenizer(texts, truncation=True, max_length=77)["input_ids"]


def pre_caption(caption, max_words):
    """BLIP's, as tokens.py has it."""
    caption = re.sub(r"([.!\"()*#:;~])", " ", caption.lower())
    caption = re.sub(r"\s{2,}", " ", caption).rstrip("\n").strip(" ")
    return " ".join(caption.split(" ")[:max_words])


def write_vocabulary(source, folder):
    """CLIP's own vocabulary from its merges, as open_clip builds it."""
    byte = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    chars = [chr(b) for b in byte] + [chr(256 + i) for i in range(256 - len(byte))]
    merges = [tuple(line.split()) for line in gzip.open(source, "rt", encoding="utf-8").read().split("\n")[1 : 49152 - 256 - 2 + 1]]
    vocab = chars + [c + "</w>" for c in chars] + ["".join(m) for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(vocab)}, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges), encoding="utf-8")
    # The pad token of openai/clip-vit-large-patch14.
    CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), pad_token="<|endoftext|>", model_max_length=77).save_pretrained(folder)
    CLIPTokenizerFast.from_pretrained(folder).save_pretrained(folder)


def captions(path):
    for row in json.load(open(path, encoding="utf-8")):
        given = row["caption"]
        yield from [given] if isinstance(given, str) else given


def by_hand(out, source, lists):
    folder = out.with_suffix(".tokenizer")
    write_vocabulary(source, folder)
    tokenizer = CLIPTokenizerFast.from_pretrained(folder)
    assert len(tokenizer) == 49408
    texts = list(nasty(list(POOLS.values()), COUNT))
    raw = [c for path in lists for c in captions(path)]
    texts += raw
    texts += [pre_caption(c, 30) for c in raw]
    json.dump({"folder": str(folder), "captions": len(raw), "texts": texts, "ids": ids(tokenizer, texts)}, open(out, "w"))
    print(f"{out}: {COUNT} nasty strings, {len(raw)} captions raw and normalised")


def for_tests(out):
    tokenizer = CLIPTokenizerFast.from_pretrained(out / "clip")
    pools = list(POOLS.values())
    found = ids(tokenizer, list(nasty(pools, COUNT)))
    short = [hashlib.sha256(b"".join(i.to_bytes(4, "little") for i in row)).hexdigest()[:8] for row in found]
    with open(out / "nasty.json", "w") as f:
        f.write(json.dumps({"pools": pools, "ids": "".join(short)}) + "\n")


if __name__ == "__main__":
    if len(sys.argv) == 2:
        for_tests(pathlib.Path(sys.argv[1]))
    else:
        by_hand(pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
