"""Times the networks against the libraries that define them: same checkpoint, same inputs, same threads, alternating.

    python tools/peers/models.py target/release/examples/peers [CASE ...] [--work FOLDER] [--threads 1] [--rounds 3]

Cases: clip-image, clip-text (either with -bfloat16), unet-step (or unet-step-N, of N images), vae-decode, evaluate. Weights are random, at full architecture, written by the
libraries in their own layout (../parity/make.py; 8 GB of disk and 10 GB of memory for unCLIP). Every call runs in a process of
its own, so that one side at a time is in memory. CPU seconds are user + system time of the call, without loading.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
IMAGES, LINES, LONGEST = 16, 400, 2000
CASES = ["clip-image", "clip-text", "clip-image-bfloat16", "clip-text-bfloat16", "unet-step", "unet-step-4", "vae-decode", "evaluate"]


def clock():
    use = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), use.ru_utime + use.ru_stime


def photos(folder):
    """JPEG files of 500 x 375 with structure at every scale, so that they are as large as photographs."""
    from PIL import Image
    rng = np.random.default_rng(1)
    folder.mkdir()
    for i in range(IMAGES):
        parts = [Image.fromarray(rng.integers(0, 256, (375 // s + 1, 500 // s + 1, 3), np.uint8)).resize((500, 375), 3) for s in (4, 16, 64, 250)]
        mixed = sum(np.asarray(p, np.float32) * w for p, w in zip(parts, (0.15, 0.25, 0.3, 0.3)))
        Image.fromarray(mixed.astype(np.uint8)).save(folder / f"{i:03}.jpg", quality=90)


def lengths():
    """Tokens of 2,000 captions with start and end: Flickr30k's mean of 16, spread of 6 and longest of 2,000, about 60."""
    return np.clip(np.round(np.random.default_rng(2).lognormal(np.log(15.0), 0.36, LONGEST)), 6, 77).astype(int)


def captions(file):
    """The vocabulary has no merges: a word of one letter is one token."""
    rng = np.random.default_rng(3)
    words = [" ".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), n - 2)) for n in lengths()[:LINES]]
    file.write_text("\n".join(words) + "\n")


def topics(folder):
    """Features and embeddings that speak of the same things, with noise: the size of the protocol's test set."""
    rng = np.random.default_rng(4)
    view, themes = rng.standard_normal((768, 1000)), rng.standard_normal((1100, 768))
    features = np.tanh(themes @ view / 20) + 0.7 * rng.standard_normal((1100, 1000))
    texts = np.concatenate([themes[:100], np.repeat(themes[100:], 5, 0) + 1.2 * rng.standard_normal((5000, 768))])
    for name, rows in {"train": features[:100], "test": features[100:], "train-text": texts[:100], "test-text": texts[100:]}.items():
        np.save(folder / f"{name}.npy", rows.astype(np.float32))


def prepare(case, work):
    """The checkpoint and the inputs of `case`, made once."""
    kind, name = ("clip", "CLIP ViT-L/14") if case.startswith("clip") else ("unclip", "unCLIP full")
    at, model = work / case, work / kind
    if case != "evaluate" and not (model / "case.json").exists():
        model.mkdir(exist_ok=True)
        subprocess.run([sys.executable, HERE.parent / "parity/make.py", model, name], check=True)
    if not at.exists():
        at.mkdir()
        if case.startswith("clip-image"):
            photos(at / "images")
        elif case.startswith("clip-text"):
            captions(at / "captions.txt")
        elif case == "evaluate":
            topics(at)
        else:
            import torch
            from safetensors.torch import save_file
            g, n = torch.Generator().manual_seed(5), int(case.removeprefix("unet-step-")) if case.startswith("unet-step-") else 1
            rand = lambda *shape: torch.randn(n, *shape, generator=g)
            save_file({"latents": rand(4, 64, 64), "labels": rand(2048), "prompts": rand(77, 1024)}, at / "inputs.safetensors")
    return model / "checkpoint", at


def peer_clip_image(checkpoint, at, dtype=None):
    from PIL import Image
    from transformers import CLIPImageProcessor, CLIPModel
    model, processor = CLIPModel.from_pretrained(checkpoint, torch_dtype=dtype), CLIPImageProcessor.from_pretrained(checkpoint)
    files = sorted((at / "images").iterdir())

    def work(files=files):
        pixels = processor(images=[Image.open(f).convert("RGB") for f in files], return_tensors="pt").pixel_values
        return model.get_image_features(pixels.to(model.dtype))
    return work, lambda: work(files[:1]), 1


def peer_clip_text(checkpoint, at, dtype=None):
    """As the reference: batches of 2,000 captions padded to the longest. The share that is run is padded so too."""
    from transformers import CLIPModel, CLIPTokenizer
    model, tokenizer = CLIPModel.from_pretrained(checkpoint, torch_dtype=dtype), CLIPTokenizer.from_pretrained(checkpoint)
    tokenizer.pad_token = tokenizer.eos_token
    lines = (at / "captions.txt").read_text().splitlines()
    share = 8

    def work(lines=lines[::share]):
        ids = tokenizer(lines, padding="max_length", max_length=int(lengths().max()), truncation=True, return_tensors="pt")
        return model.get_text_features(**ids)
    return work, lambda: work(lines[:1]), share


def peer_unet_step(checkpoint, at):
    from diffusers import UNet2DConditionModel
    from safetensors.torch import load_file
    import torch
    model, x = UNet2DConditionModel.from_pretrained(checkpoint / "unet"), load_file(at / "inputs.safetensors")
    two = lambda t: torch.cat([t, t])
    work = lambda: model(two(x["latents"]), 801, encoder_hidden_states=two(x["prompts"]), class_labels=two(x["labels"])).sample
    return work, lambda: None, 1


def peer_vae_decode(checkpoint, at):
    from diffusers import AutoencoderKL
    from safetensors.torch import load_file
    model, x = AutoencoderKL.from_pretrained(checkpoint / "vae"), load_file(at / "inputs.safetensors")
    return lambda: model.decode(x["latents"] / model.config.scaling_factor).sample.permute(0, 2, 3, 1), lambda: None, 1


def head_run(seed, data):
    """One run of the reference's protocol on given features, scored at eleven epochs: the recalls of the last."""
    import torch
    import torch.nn.functional as F
    sys.path.insert(0, str(HERE.parent / "golden"))
    from recall import recalls
    torch.manual_seed(seed)
    image, test, text, captions = data
    first, second, norm, drop = torch.nn.Linear(768, 1000), torch.nn.Linear(1000, 1000), torch.nn.LayerNorm(1000), torch.nn.Dropout(0.1)
    head = lambda t: (lambda p: norm(drop(second(F.gelu(p))) + p))(first(t))
    parameters = [p for m in (first, second, norm) for p in m.parameters()]
    with torch.enable_grad():
        sgd = torch.optim.SGD(parameters, lr=0.2, momentum=0.9, weight_decay=5e-4)
        for epoch in range(101):
            if epoch == 51:
                sgd.param_groups[0]["lr"] *= 0.1
            rows = torch.randperm(100)
            logits = F.normalize(image[rows]) @ F.normalize(head(text[rows])).t() / 0.07
            loss = (F.cross_entropy(logits, torch.arange(100)) + F.cross_entropy(logits.t(), torch.arange(100))) / 2
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            if epoch % 10 == 0:
                drop.eval()
                with torch.no_grad():
                    scores = F.normalize(test) @ F.normalize(head(captions)).t()
                drop.train()
    found = recalls(scores.numpy(), np.repeat(np.arange(1000), 5))
    return found["ir"] + found["tr"]


def peer_evaluate(checkpoint, at):
    import torch
    data = [torch.from_numpy(np.load(at / f"{n}.npy")) for n in ("train", "test", "train-text", "test-text")]
    return lambda: torch.tensor([head_run(seed, data) for seed in range(5)]), lambda: None, 1


def encode_seconds():
    """CPU seconds of one image through each of the protocol's encoders, batches of 100 as the reference has them."""
    import timm
    import torch
    found = {}
    for name in ("vit_tiny_patch16_224", "nf_resnet50"):
        model, x = timm.create_model(name).eval(), torch.randn(100, 3, 224, 224)
        model(x[:2])
        start = clock()[1]
        model(x)
        found[name] = (clock()[1] - start) / 100
    return found


def peer(case, checkpoint, at, threads):
    """One measured call of the library, in this process."""
    import torch
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    if case == "encoders":
        print(json.dumps(encode_seconds()))
        return
    half = case.endswith("-bfloat16")
    name = "unet-step" if case.startswith("unet-step") else case.removesuffix("-bfloat16")
    work, warm, share = globals()["peer_" + name.replace("-", "_")](checkpoint, at, *[torch.bfloat16] * half)
    warm()
    (wall, cpu), made = clock(), work()
    after = clock()
    np.save(at / "peer.npy", made.reshape(-1, made.shape[-1]).float().numpy())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"wall": (after[0] - wall) * share, "cpu": (after[1] - cpu) * share, "peak": peak, "share": share}))


def told(command, threads):
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
    run = subprocess.run(list(map(str, command)), env=os.environ | {n: str(threads) for n in names}, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(run.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("binary", help="target/release/examples/peers")
    parser.add_argument("cases", nargs="*", default=CASES)
    parser.add_argument("--work", type=Path, help="keeps checkpoints and inputs there")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", nargs=2, type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        return peer(args.cases[0], *args.peer, args.threads)
    with tempfile.TemporaryDirectory() as folder:
        work = args.work or Path(folder)
        work.mkdir(exist_ok=True)
        print("| case | protostill CPU s | peer CPU s | peer / ours | peak memory, ours and peer's, GB | error |\n|---|---|---|---|---|---|")
        for case in args.cases:
            table(case, args, *prepare(case, work))


def table(case, args, checkpoint, at):
    sides = {"ours": [args.binary, case, checkpoint, at],
             "peer": [sys.executable, __file__, "-", case, "--threads", args.threads, "--peer", checkpoint, at]}
    found = {side: [] for side in sides}
    for _ in range(args.rounds):
        for side, command in sides.items():
            found[side].append(told(command, args.threads))
            print(case, side, found[side][-1], file=sys.stderr, flush=True)
    (ours, theirs), peaks = ([float(np.median([r["cpu"] for r in runs])) for runs in found.values()], [max(r["peak"] for r in runs) / 1e9 for runs in found.values()])
    error = ""
    if (at / "ours.npy").exists():
        a, b = np.load(at / "ours.npy"), np.load(at / "peer.npy")
        a = a[:: found["peer"][0]["share"]]
        error = f"{np.linalg.norm(a - b) / np.linalg.norm(b):.1e}"
    if case.endswith("-bfloat16"):
        single = at.parent / case.removesuffix("-bfloat16") / "ours.npy"
        if single.exists():
            whole, a = np.load(single), np.load(at / "ours.npy")
            cosine = (whole * a).sum(1) / np.linalg.norm(whole, axis=1) / np.linalg.norm(a, axis=1)
            error += f"; cosine to float32 at least {cosine.min():.5f}"
    if case == "evaluate":
        error = " and ".join(f"{m.mean():.2f} ± {m.mean(1).std():.2f}" for m in (a, b)) + " R-mean"
    print(f"| {case} | {ours:.2f} | {theirs:.2f} | {theirs / ours:.2f} | {peaks[0]:.1f} and {peaks[1]:.1f} | {error} |", flush=True)
    if case == "evaluate":
        each = told([sys.executable, __file__, "-", "encoders", "--threads", args.threads, "--peer", checkpoint, at], args.threads)
        for name, seconds in each.items():
            # 5 runs; 101 epochs over 100 pairs; 11 passes over the 1,000 test images. Encoding once is counted at the same rate.
            total = theirs + 5 * (101 * 100 + 11 * 1000) * seconds
            once = ours + 1100 * seconds
            print(f"| evaluate, {name} re-encoded as the reference does (from {1000 * seconds:.0f} ms an image) | {ours:.2f}, with encoding once {once:.1f} | {total:.0f} | {total / ours:.0f}, {total / once:.1f} | | |", flush=True)


if __name__ == "__main__":
    main()
