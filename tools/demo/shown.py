"""Do the pictures of a distilled set show what their captions say? Asks both evaluation encoders for every shape that a
caption names, in its colour where that is said. Real pairs (`distill --method random`) tell how much the encoders miss.

usage: shown.py ASSETS SET...
"""
import json
import re
import sys

import numpy as np
import torch
from PIL import Image

from common import COLOURS, SHAPES, clip_pixels
from train_encoders import KINDS, MODELS, load

# As in src/data/world: caption.rs and scene.rs.
WORDS = ["ball sphere", "box square", "triangle", "star", "heart", "tree", "house home", "boat ship", "ring hoop", "cross",
         "moon crescent", "car"]
SHAPE = {word: i for i, words in enumerate(WORDS) for word in words.split()}
COLOUR = {word: i for i, word in enumerate("red blue yellow green white orange purple pink brown black".split())}


def claims(caption):
    """(shape, colour or None) of each object named."""
    words = re.findall("[a-z]+", caption)
    return [(SHAPE[w], COLOUR.get(before)) for before, w in zip(["", *words], words) if w in SHAPE]


@torch.no_grad()
def main():
    assets, *sets = sys.argv[1:]
    for name in MODELS:
        model = load(f"{assets}/encoders/{name}")
        for folder in sets:
            rows = [json.loads(line) for line in open(f"{folder}/metadata.jsonl")]
            images = np.stack([np.asarray(Image.open(f"{folder}/{row['file_name']}").convert("RGB")) for row in rows])
            seen = (model(clip_pixels(images))[:, :KINDS] > 0).reshape(-1, SHAPES, COLOURS)
            shown = [[bool(there[s].any() if c is None else there[s, c]) for s, c in claims(row["text"])]
                     for row, there in zip(rows, seen)]
            share, whole = np.mean([x for row in shown for x in row]), np.mean([all(row) for row in shown])
            print(f"{folder}, {name}: {share:.3f} of the objects named, {whole:.3f} of the captions in full")


if __name__ == "__main__":
    main()
