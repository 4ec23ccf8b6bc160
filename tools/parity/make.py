#!/usr/bin/env python
"""One random checkpoint at full architecture in its library's own layout, with inputs and what the library computes.

Usage: make.py FOLDER NAME   (requirements: ../golden/requirements.txt)
  FOLDER/case.json            what it is
  FOLDER/checkpoint/          the checkpoint, float32, in shards where the library makes them
  FOLDER/golden.safetensors   inputs and outputs
"""
import gc
import json
import os
import sys

import torch
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "architectures.json")) as f:
    ARCHITECTURES = json.load(f)
ENCODERS = ["vit_tiny_patch16_224", "nf_resnet50", "resnet50", "mobilenetv2_100", "nf_regnet_b1", "nfnet_l0",
            "deit3_small_patch16_224", "vit_small_patch14_dinov2", "vit_base_patch16_clip_224", "vit_base_patch16_siglip_224",
            "resnet50d", "efficientnet_b0", "mobilenetv3_large_100", "convnext_tiny", "convnextv2_tiny"]
NAMES = [n for n in ARCHITECTURES if n.startswith(("CLIP", "SigLIP"))] + ["unCLIP small", "unCLIP full"] + ENCODERS
torch.set_grad_enabled(False)
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


def unfilled(build):
    """A model whose parameters nobody initialises: `randomise` does."""
    kinds = [torch.nn.Linear, torch.nn.Conv2d, torch.nn.Embedding]
    kept = [k.reset_parameters for k in kinds]
    for k in kinds:
        k.reset_parameters = lambda self: None
    from transformers import PreTrainedModel
    init, PreTrainedModel.init_weights = PreTrainedModel.init_weights, lambda self: None
    model = build()
    for k, reset in zip(kinds, kept):
        k.reset_parameters = reset
    PreTrainedModel.init_weights = init
    return model


def randomise(model, seed):
    """No parameter keeps a trivial value, so that a forgotten bias or gain shows."""
    g = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        r = torch.randn(p.shape, generator=g)
        if p.ndim == 0:
            p.fill_(2.6592)
        elif name.endswith(".gain"):
            p.copy_(1 + 0.2 * r)
        elif "embedding.weight" in name or name.endswith(("class_embedding", "pos_embed", "cls_token")):
            p.copy_(0.5 * r)
        elif p.ndim >= 2:
            p.copy_(r / p[0].numel() ** 0.5)
        else:
            p.copy_((1 + 0.2 * r) if name.endswith("weight") else 0.1 * r)
    for name, b in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            r = torch.rand(b.shape, generator=g)
            b.copy_(0.5 + r if name.endswith("var") else 0.4 * r - 0.2)
    return model.eval()


def write_tokenizer(folder):
    """CLIP's byte-level vocabulary without merges; pads with `!`, as Stable Diffusion 2.1 does."""
    byte = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    chars = [chr(b) for b in byte] + [chr(256 + i) for i in range(256 - len(byte))]
    vocab = chars + [c + "</w>" for c in chars] + ["<|startoftext|>", "<|endoftext|>"]
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/vocab.json", "w") as f:
        json.dump({t: i for i, t in enumerate(vocab)}, f, ensure_ascii=False)
    with open(f"{folder}/merges.txt", "w") as f:
        f.write("#version: 0.2\n")
    from transformers import CLIPTokenizer
    tokenizer = CLIPTokenizer(f"{folder}/vocab.json", f"{folder}/merges.txt", pad_token="!", model_max_length=77)
    tokenizer.save_pretrained(folder)
    return tokenizer


def clip(folder, name):
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel
    config = CLIPConfig(**ARCHITECTURES[name])
    model = randomise(unfilled(lambda: CLIPModel(config)), 1)
    model.save_pretrained(folder, safe_serialization=True, max_shard_size="2GB")
    with open(f"{folder}/config.json", "w") as f:
        json.dump(ARCHITECTURES[name] | {"model_type": "clip"}, f, indent=1)
    side = config.vision_config.image_size
    CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side}).save_pretrained(folder)
    write_tokenizer(folder)
    g = torch.Generator().manual_seed(2)
    pixels = torch.randn(2, 3, side, side, generator=g)
    ids = torch.randint(1, 49000, (3, 77), generator=g)
    ids[:, 0] = 49406
    for row, length in zip(ids, (77, 20, 9)):
        row[length - 1:] = 49407
    return {"pixels": pixels, "ids": ids, "image": model.get_image_features(pixels), "text": model.get_text_features(ids)}


def siglip(folder, name):
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel
    config = SiglipConfig(**ARCHITECTURES[name])
    model = randomise(unfilled(lambda: SiglipModel(config)), 9)
    model.save_pretrained(folder, max_shard_size="2GB")
    with open(f"{folder}/config.json", "w") as f:
        json.dump(ARCHITECTURES[name] | {"model_type": "siglip"}, f, indent=1)
    side, length = config.vision_config.image_size, config.text_config.max_position_embeddings
    SiglipImageProcessor(size={"height": side, "width": side}).save_pretrained(folder)
    with open(f"{folder}/tokenizer.json", "w") as f:
        json.dump({"model": {"type": "BPE", "vocab": {"<pad>": 0, "<eos>": 1}, "merges": []}}, f)
    g = torch.Generator().manual_seed(2)
    pixels = torch.randn(2, 3, side, side, generator=g)
    ids = torch.randint(3, config.text_config.vocab_size, (3, length), generator=g)
    for row, words in zip(ids, (length, 20, 9)):
        row[words - 1:] = 0
    pooled = lambda x: x if isinstance(x, torch.Tensor) else x.pooler_output
    return {"pixels": pixels, "ids": ids, "image": pooled(model.get_image_features(pixel_values=pixels)),
            "text": pooled(model.get_text_features(input_ids=ids))}


def unclip(folder, name):
    from diffusers import AutoencoderKL, DDPMScheduler, PNDMScheduler, UNet2DConditionModel
    from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer
    from transformers import CLIPTextConfig, CLIPTextModel
    width = 768 if name.endswith("small") else 1024
    g = torch.Generator().manual_seed(3)
    rand = lambda *shape: torch.randn(*shape, generator=g)
    out = {"latents": rand(1, 4, 64, 64), "labels": rand(1, 2 * width), "vae_in": rand(1, 4, 32, 32), "at": torch.tensor([501])}
    tokenizer = write_tokenizer(f"{folder}/tokenizer")
    text = randomise(unfilled(lambda: CLIPTextModel(CLIPTextConfig(**ARCHITECTURES["text_encoder"]))), 4)
    text.save_pretrained(f"{folder}/text_encoder", safe_serialization=True, max_shard_size="2GB")
    ids = tokenizer("a man rides a horse", padding="max_length", max_length=77, return_tensors="pt").input_ids
    out["prompts"] = text(ids)[0]
    del text
    vae = randomise(unfilled(lambda: AutoencoderKL.from_config(ARCHITECTURES["vae"])), 5)
    vae.save_pretrained(f"{folder}/vae", safe_serialization=True)
    out["vae_out"] = vae.decode(out["vae_in"] / vae.config.scaling_factor).sample
    del vae
    gc.collect()
    config = ARCHITECTURES["unet"] | {"projection_class_embeddings_input_dim": 2 * width}
    unet = randomise(unfilled(lambda: UNet2DConditionModel.from_config(config)), 6)
    unet.save_pretrained(f"{folder}/unet", safe_serialization=True, max_shard_size="2GB")
    out["unet_out"] = unet(out["latents"], 501, encoder_hidden_states=out["prompts"], class_labels=out["labels"]).sample
    normalizer = StableUnCLIPImageNormalizer(embedding_dim=width)
    normalizer.std.copy_(0.5 + torch.rand(1, width, generator=g))
    normalizer.save_pretrained(f"{folder}/image_normalizer")
    DDPMScheduler(beta_schedule="squaredcos_cap_v2").save_pretrained(f"{folder}/image_noising_scheduler")
    PNDMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction",
                  set_alpha_to_one=False, skip_prk_steps=True, steps_offset=1).save_pretrained(f"{folder}/scheduler")
    return out


def encoder(folder, name):
    import timm
    # Some have no classifier of their own.
    model = randomise(timm.create_model(name, pretrained=False, num_classes=1000), 7)
    os.makedirs(folder, exist_ok=True)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, f"{folder}/model.safetensors", metadata={"format": "pt"})
    with open(f"{folder}/config.json", "w") as f:
        config = {"architecture": name, "num_classes": model.num_classes, "num_features": model.num_features, "pretrained_cfg": model.pretrained_cfg}
        if isinstance(pool := getattr(model, "global_pool", None), str):
            config["global_pool"] = pool
        json.dump(config, f, indent=1)
    side = model.pretrained_cfg["input_size"][1]
    if not name.startswith(("vit", "deit")):
        side = min(side, 224)
    x = torch.randn(2, 3, 14, 14, generator=torch.Generator().manual_seed(8)).repeat_interleave(side // 14, 2).repeat_interleave(side // 14, 3)
    return {"pixels": x, "logits": model(x), "pooled": model.forward_head(model.forward_features(x), pre_logits=True)}


if __name__ == "__main__":
    folder, name = sys.argv[1:]
    kind, make = ("clip", clip) if name.startswith("CLIP") else ("clip", siglip) if name.startswith("SigLIP") else ("unclip", unclip) if name.startswith("unCLIP") else ("encoder", encoder)
    golden = make(f"{folder}/checkpoint", name)
    save_file({k: v.contiguous() for k, v in golden.items()}, f"{folder}/golden.safetensors")
    with open(f"{folder}/case.json", "w") as f:
        json.dump({"kind": kind, "name": name, "weights": "float32"}, f)
