"""Small images in every kind that `decode_rgb` reads, and what Pillow's convert("RGB") makes of them.

python tools/golden/decode.py tests/golden/decode
(16-bit grey is left out: Pillow clips it to white, where we keep the high byte as Pillow does for 16-bit colour.)
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

out = Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
y, x = np.mgrid[0:24, 0:32].astype(np.float32)
smooth = np.stack([128 + 100 * np.sin(x / 5), 128 + 90 * np.cos(y / 4), 4 * x + 5 * y], -1)
image = Image.fromarray(smooth.clip(0, 255).astype(np.uint8))
grey = image.convert("L")
rgba = image.convert("RGBA")
rgba.putalpha(grey)

FILES = [
    ("rgb.png", image, {}),
    ("rgba.png", rgba, {}),
    ("grey.png", grey, {}),
    ("grey_alpha.png", image.convert("LA"), {}),
    ("one_bit.png", image.convert("1"), {}),
    ("palette.png", image.quantize(16), {}),
    ("palette_transparent.png", image.quantize(64), {"transparency": 3}),
    ("animated.png", image, {"save_all": True, "append_images": [image.rotate(180)]}),
    ("rgb.jpg", image, {"quality": 90}),
    ("progressive.jpg", image, {"quality": 90, "progressive": True}),
    ("grey.jpg", grey, {"quality": 90}),
    ("cmyk.jpg", image.convert("CMYK"), {"quality": 95}),
    ("rgb.webp", image, {"quality": 80}),
    ("rgba.webp", rgba, {"lossless": True, "exact": True}),
    ("animated.webp", image, {"save_all": True, "append_images": [image.rotate(180)], "lossless": True}),
]
for name, picture, options in FILES:
    picture.save(out / name, **options)
    pixels = Image.open(out / name).convert("RGB").tobytes()
    (out / f"{name}.rgb").write_bytes(pixels)
