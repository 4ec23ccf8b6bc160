"""Measures the exported float16 checkpoints on the test split with the libraries that made them: FIGURES.md, decoded.png.

usage: evaluate.py WORLD ASSETS
"""
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import StableUnCLIPImg2ImgPipeline
from PIL import Image
from transformers import CLIPModel, CLIPTokenizer

from common import World, arguments, clip_pixels, to_bytes, token_ids, vae_pixels
from train_clip import recall
from train_encoders import all_names, load, measure

SCENES, STEPS, GUIDANCE, NOISE_LEVEL, SHOWN = 100, 50, 2.0, 10, 12


def main():
    root, assets = arguments("world", "assets")
    here, world, lines = Path(__file__).parent, World(root), []
    images, captions = world.pixels("test"), world.captions("test")
    clip = CLIPModel.from_pretrained(f"{assets}/clip").float().eval()
    tok = CLIPTokenizer.from_pretrained(f"{assets}/clip")
    ids = token_ids(tok, [c for five in captions for c in five])
    scores = recall(clip, images, ids)
    lines.append("CLIP, 1,000 test scenes x 5 captions: IR@1/5/10 {}/{}/{}, TR@1/5/10 {}/{}/{}".format(*scores))

    pipe = StableUnCLIPImg2ImgPipeline.from_pretrained(f"{assets}/unclip", torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    x = vae_pixels(images[:200])
    with torch.no_grad():
        again = pipe.vae.decode(pipe.vae.encode(x).latent_dist.mean).sample.clamp(-1, 1)
        own = clip.eval().get_image_features(clip_pixels(images[:SCENES]))
    psnr = (10 * torch.log10(4 / ((x - again) ** 2).mean((1, 2, 3)))).mean().item()
    lines.append(f"Autoencoder: PSNR {psnr:.2f} dB over 200 scenes")

    out = pipe(prompt=[five[0] for five in captions[:SCENES]], image_embeds=own, num_inference_steps=STEPS,
               guidance_scale=GUIDANCE, noise_level=NOISE_LEVEL, negative_prompt=["text, watermark"] * SCENES,
               generator=torch.Generator().manual_seed(0), output_type="np").images
    decoded = (out * 255).round().astype(np.uint8)
    with torch.no_grad():
        theirs = clip.get_image_features(clip_pixels(decoded))
        rebuilt = clip.get_image_features(clip_pixels(to_bytes(again[:SCENES])))
        unlike = F.cosine_similarity(own, own.roll(1, 0)).mean().item()
    lines.append(f"Decoder, {STEPS} steps, guidance {GUIDANCE}: mean CLIP cosine of {SCENES} scenes to their decoded selves "
                 f"{F.cosine_similarity(own, theirs).mean().item():.3f} (autoencoder alone "
                 f"{F.cosine_similarity(own, rebuilt).mean().item():.3f}, another scene {unlike:.3f})")
    sheet = Image.new("RGB", (SHOWN * 66, 3 * 66), "white")
    for i in range(SHOWN):
        for row, picture in enumerate((images[i], to_bytes(again[i:i + 1])[0], decoded[i])):
            sheet.paste(Image.fromarray(picture), (66 * i + 1, 66 * row + 1))
    sheet.resize((2 * sheet.width, 2 * sheet.height), Image.NEAREST).save(here / "decoded.png")

    names = all_names(world.part("test"))
    for name in ("vit", "nf_resnet"):
        model = load(f"{assets}/encoders/{name}")
        lines.append("Encoder %s: backdrop %.3f, coloured shapes F1 %.3f" % (name, *measure(model, images, *names)))
        shown = [images[:SCENES], to_bytes(again[:SCENES]), decoded]
        seen = ["%.3f/%.3f" % measure(model, x, *(n[:SCENES] for n in names)) for x in shown]
        lines.append(f"What {name} names (backdrop/coloured shapes) in {SCENES} scenes {seen[0]}, "
                     f"through the autoencoder {seen[1]}, decoded {seen[2]}")
    bytes_ = sum(f.stat().st_size for f in Path(assets).rglob("*") if f.is_file())
    lines.append(f"All files: {bytes_ / 1e6:.1f} MB")
    text = "\n".join(f"- {line}" for line in lines)
    (here / "FIGURES.md").write_text(f"# Figures\n\nPrinted by `evaluate.py` on the files under `assets/`.\n\n{text}\n")
    print(text)


if __name__ == "__main__":
    main()
