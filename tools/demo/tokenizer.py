"""Learns a byte-level BPE in CLIP's form from captions: vocab.json and merges.txt."""
import collections
import json
import os


def byte_symbols():
    """GPT-2's printable stand-in for each byte."""
    plain = list(range(33, 127)) + list(range(0xA1, 0xAD)) + list(range(0xAE, 0x100))
    symbols, n = {b: chr(b) for b in plain}, 0
    for b in range(256):
        if b not in symbols:
            symbols[b], n = chr(256 + n), n + 1
    return {b: symbols[b] for b in plain + [b for b in range(256) if b not in plain]}


def learn(lines, count):
    symbols, words = byte_symbols(), collections.Counter()
    for line in lines:
        for word in line.replace(",", " ,").split():
            text = "".join(symbols[b] for b in word.encode())
            words[tuple(text[:-1]) + (text[-1] + "</w>",)] += 1
    merges = []
    while len(merges) < count:
        pairs = collections.Counter()
        for word, n in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += n
        if not pairs:
            break
        best = max(pairs.items(), key=lambda item: (item[1], item[0]))[0]
        merges.append(best)
        words = collections.Counter({joined(word, best): n for word, n in words.items()})
    return merges


def joined(word, pair):
    out, i = [], 0
    while i < len(word):
        step = 2 if word[i:i + 2] == pair else 1
        out.append("".join(word[i:i + step]))
        i += step
    return tuple(out)


def write(folder, lines, count=400):
    """Returns the vocabulary's size."""
    os.makedirs(folder, exist_ok=True)
    letters, merges = list(byte_symbols().values()), learn(lines, count)
    vocab = letters + [c + "</w>" for c in letters] + ["".join(m) for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
    assert len(set(vocab)) == len(vocab), "a token twice"
    with open(f"{folder}/vocab.json", "w") as out:
        json.dump({token: i for i, token in enumerate(vocab)}, out, ensure_ascii=False)
    with open(f"{folder}/merges.txt", "w") as out:
        out.write("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    return len(vocab)
