"""Small images in every kind that `decode_rgb` reads, and what Pillow's convert("RGB") makes of them.

python tools/golden/decode.py tests/golden/decode
(16-bit grey is left out: Pillow clips it to white, where we keep the high byte as Pillow does for 16-bit colour.)
"""

import io
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
    ("422.jpg", image, {"quality": 90, "subsampling": "4:2:2"}),
    ("422_progressive.jpg", image, {"quality": 60, "subsampling": "4:2:2", "progressive": True}),
    ("444.jpg", image, {"quality": 100, "subsampling": "4:4:4"}),
    ("restart.jpg", image, {"quality": 80, "restart_marker_blocks": 1}),
    ("restart_progressive.jpg", image, {"quality": 80, "restart_marker_blocks": 3, "progressive": True, "subsampling": "4:4:4"}),
    ("keep_rgb.jpg", image, {"quality": 90, "keep_rgb": True}),
    ("rgb.webp", image, {"quality": 80}),
    ("rgba.webp", rgba, {"lossless": True, "exact": True}),
    ("animated.webp", image, {"save_all": True, "append_images": [image.rotate(180)], "lossless": True}),
]



def upright(picture):
    """A 4:4:0 file, which Pillow does not write: one of 4:2:2 that says otherwise of its factors, and of its height."""
    square = io.BytesIO()
    picture.resize((32, 32)).save(square, "JPEG", quality=90, subsampling="4:2:2")
    data = bytearray(square.getvalue())
    frame = data.index(b"\xff\xc0")
    assert data[frame + 5 : frame + 9] == b"\0\x20\0\x20" and data[frame + 11] == 0x21
    data[frame + 6], data[frame + 11] = 24, 0x12
    return bytes(data)


for name, picture, options in FILES:
    picture.save(out / name, **options)
(out / "440.jpg").write_bytes(upright(image))
for name in [name for name, *_ in FILES] + ["440.jpg"]:
    pixels = Image.open(out / name).convert("RGB").tobytes()
    (out / f"{name}.rgb").write_bytes(pixels)
