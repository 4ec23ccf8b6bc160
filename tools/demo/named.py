"""Would somebody who has not read the captions see what they say? `sheet` lays out a set's pictures without them, numbered, for a
reader who is told which shapes and colours there are and writes down what each shows; `score` compares that with the captions.

usage: named.py sheet SET SHEET.png
       named.py score SET NAMES.json     ({"0": [["red", "heart"], ...], ...}: colour and shape of each object seen)
"""
import json
import sys

from PIL import Image, ImageDraw

from shown import COLOUR, SHAPE, claims

ACROSS, SIDE, LABEL = 5, 192, 20


def main():
    what, folder, path = sys.argv[1:]
    rows = [json.loads(line) for line in open(f"{folder}/metadata.jsonl")]
    if what == "sheet":
        sheet = Image.new("RGB", (ACROSS * (SIDE + 8), -(-len(rows) // ACROSS) * (SIDE + LABEL)), "white")
        for i, row in enumerate(rows):
            x, y = i % ACROSS * (SIDE + 8), i // ACROSS * (SIDE + LABEL)
            sheet.paste(Image.open(f"{folder}/{row['file_name']}").convert("RGB").resize((SIDE, SIDE), Image.BICUBIC), (x, y))
            ImageDraw.Draw(sheet).text((x + 2, y + SIDE + 3), str(i), fill="black")
        return sheet.save(path)
    names, right = json.load(open(path)), []
    for i, row in enumerate(rows):
        seen, found = [(SHAPE[shape], COLOUR[colour]) for colour, shape in names[str(i)]], []
        for shape, colour in claims(row["text"]):
            hit = next((s for s in seen if s[0] == shape and colour in (None, s[1])), None)
            found.append(hit is not None)
            if hit:
                seen.remove(hit)
        right.append(found)
        if not all(found):
            print(f"{i}: {row['text']}; seen: {', '.join(map(' '.join, names[str(i)]))}")
    objects = [x for found in right for x in found]
    print(f"{sum(objects)} of {len(objects)} objects, {sum(map(all, right))} of {len(rows)} captions in full")


if __name__ == "__main__":
    main()
