"""Loads what protostill wrote with the real libraries and prints one table: clients.py FOLDER [--light | --datasets-only].
A row works only if captions and pixels are those that were written."""

import argparse
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from hub import serve

parser = argparse.ArgumentParser()
parser.add_argument("folder", type=Path)
parser.add_argument("--light", action="store_true", help="nothing that needs torch")
parser.add_argument("--datasets-only", action="store_true")
parser.add_argument("--old-webdataset", type=Path, help="a folder with the release that open_clip asks for")
parser.add_argument("--binary", type=Path, help="protostill, to push with")
parser.add_argument("--json", type=Path, help="the table for machines")
args = parser.parse_args()

rows = []


def tell(library, what, outcome, said):
    rows.append((library, what, outcome, said))
    print(f"{library:22}  {what:64}  {outcome:7}  {said}", flush=True)


def row(library, what, check):
    """Runs `check`; what it returns is said beside `works`."""
    try:
        said = check()
        tell(library, what, "works", said or "")
    except Exception as e:  # noqa: BLE001: whatever a library raises is its word on the matter
        said = f"{type(e).__name__}: {e}".splitlines()[0][:160]
        tell(library, what, "FAILED", said)


def refused(library, what, check):
    """A row that must fail with an error: silence would be worse."""
    try:
        check()
    except Exception as e:  # noqa: BLE001
        return tell(library, what, "refused", f"{type(e).__name__}: {e}".splitlines()[0][:100])
    tell(library, what, "FAILED", "was taken without a word")


def pixels(image):
    return np.asarray(image.convert("RGB"))


class Written:
    """What lies in a set's folder, read without any of the libraries."""

    def __init__(self, folder):
        self.folder = folder
        lines = (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
        self.rows = [json.loads(line) for line in lines]
        self.captions = [row["text"] for row in self.rows]
        self.images = [pixels(Image.open(folder / row["file_name"])) for row in self.rows]

    def equals(self, captions, images):
        captions = list(captions)
        assert captions == self.captions, f"captions differ: {captions[:2]} for {self.captions[:2]}"
        images = [pixels(image) for image in images]
        assert len(images) == len(self.images), f"{len(images)} images for {len(self.images)}"
        assert all((a.shape == b.shape and (a == b).all()) for a, b in zip(images, self.images)), "pixels differ"
        return f"{len(captions)} pairs"


def of_datasets(written, image="image", text="text", **options):
    def check():
        from datasets import load_dataset

        found = load_dataset(split="train", **options)
        found = list(found)
        return written.equals([r[text] for r in found], [r[image] for r in found])

    return check


def datasets_rows(folder):
    import datasets

    library = f"datasets {datasets.__version__}"
    written = Written(folder)
    name, path = folder.name, str(folder)
    add = lambda what, **options: row(library, f"{name}: {what}", of_datasets(written, **options))  # noqa: E731
    add("DIR", path=path)
    add("DIR, streaming", path=path, streaming=True)
    add("imagefolder", path="imagefolder", data_dir=path)
    shard = {"image": "png", "text": "txt"}
    if (folder / "webdataset").is_dir():
        add("webdataset", path="webdataset", data_files=f"{path}/webdataset/*.tar", **shard)
        add("webdataset, data_dir", path="webdataset", data_dir=f"{path}/webdataset", **shard)
        add("DIR/webdataset", path=f"{path}/webdataset", **shard)
    if (folder / "parquet").is_dir():
        add("parquet", path="parquet", data_files=f"{path}/parquet/*.parquet")
        add("parquet, data_dir", path="parquet", data_dir=f"{path}/parquet")
        add("DIR/parquet", path=f"{path}/parquet")
        refused(library, f"{name}: parquet of the whole folder", of_datasets(written, path="parquet", data_dir=path))
    if (folder / "open_clip").is_dir():
        add("open_clip's shard", path="webdataset", data_files=f"{path}/open_clip/*.tar", **shard)


def table_rows(folder):
    import pandas
    import pyarrow.parquet

    written = Written(folder)
    decode = lambda cell: Image.open(io.BytesIO(cell["bytes"]))  # noqa: E731

    def with_pandas():
        found = pandas.read_parquet(folder / "parquet/00000.parquet")
        return written.equals(found["text"], [decode(cell) for cell in found["image"]])

    def with_pyarrow():
        found = pyarrow.parquet.read_table(folder / "parquet/00000.parquet").to_pylist()
        return written.equals([r["text"] for r in found], [decode(r["image"]) for r in found])

    def list_of_open_clip():
        found = pandas.read_csv(folder / "open_clip/pairs.csv", sep="\t")
        return written.equals(found["title"], [Image.open(folder / path) for path in found["filepath"]])

    def curves():
        found = pandas.read_json(folder.parent / "curves1.jsonl", lines=True)
        assert list(found.columns) == ["series", "step", "value"] and not found.isna().any().any()
        return f"{found['series'].nunique()} series"

    row(f"pandas {pandas.__version__}", "parquet", with_pandas)
    row(f"pyarrow {pyarrow.__version__}", "parquet", with_pyarrow)
    row(f"pandas {pandas.__version__}", "open_clip/pairs.csv", list_of_open_clip)
    row(f"pandas {pandas.__version__}", "--metrics", curves)


def webdataset_rows(folder):
    import webdataset as wds

    written = Written(folder)

    def check(shard):
        found = wds.WebDataset(str(folder / shard), shardshuffle=False).decode("pil").to_tuple("png", "txt", "json")
        found = list(found)
        assert [r[2]["prototype"] for r in found] == list(range(len(found)))
        return written.equals([r[1] for r in found], [r[0] for r in found])

    for shard in ("webdataset/00000.tar", "open_clip/00000.tar"):
        row(f"webdataset {wds.__version__}", shard, lambda shard=shard: check(shard))


def hub_rows(folder):
    import huggingface_hub

    def check():
        card = huggingface_hub.DatasetCard.load(folder / "README.md")
        data = card.data.to_dict()
        assert data["license"] == "unknown" and data["configs"][0]["data_files"][0]["split"] == "train", data
        assert "## Recall" in card.text and "| vit |" in card.text
        return "license, configs, recall"

    def push():
        """The real client and ours leave the same on a hub."""
        hub = serve()
        env = {**os.environ, "HF_ENDPOINT": hub.address, "HF_TOKEN": "hf_x", "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
        theirs = ("import sys; from huggingface_hub import HfApi; api = HfApi(); "
                  "api.create_repo('org/theirs', repo_type='dataset', private=True); "
                  "api.upload_folder(repo_id='org/theirs', folder_path=sys.argv[1], repo_type='dataset')")
        for command in ([sys.executable, "-c", theirs, folder], [args.binary, "push", "org/ours", folder, "--yes"]):
            done = subprocess.run(list(map(str, command)), env=env, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr.strip().splitlines()[-1]
        ours, theirs = hub.held["org/ours"], hub.held["org/theirs"]
        assert ours == theirs, f"{sorted(ours)} for {sorted(theirs)}"
        asked = [{k: v for k, v in hub.created[name].items() if k != "name"} for name in ("org/ours", "org/theirs")]
        assert asked[0] == asked[1], asked
        return f"{len(ours)} files, as by upload_folder"

    row(f"huggingface_hub {huggingface_hub.__version__}", "README.md as DatasetCard", check)
    if args.binary:
        row(f"huggingface_hub {huggingface_hub.__version__}", "push", push)


def torch_rows(folder):
    import torch
    from safetensors.torch import load_file

    library = f"torch {torch.__version__}"
    here = Path(__file__).parent

    def arrays():
        solved = folder.parent / "solved"
        found, pairs = load_file(solved / "prototypes.safetensors"), len(Written(solved).captions)
        assert {k: (v.shape[0], v.dtype) for k, v in found.items()} == dict.fromkeys(("image", "text"), (pairs, torch.float32))
        return ", ".join(f"{k} {list(v.shape)}" for k, v in found.items())

    def example(script, *more):
        done = subprocess.run([sys.executable, here / script, folder.parent / "solved", *more], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr.strip().splitlines()[-1]
        first, last = (float(word) for word in done.stdout.split() if word.replace(".", "", 1).isdigit())
        assert last < 0.7 * first, done.stdout
        return done.stdout.strip()

    row(library, "prototypes.safetensors", arrays)
    row(library, "train_targets.py", lambda: example("train_targets.py"))
    row(library, "train_captions.py", lambda: example("train_captions.py"))


def open_clip_rows(folder):
    import open_clip

    library, pairs = f"open_clip {open_clip.__version__}", len(Written(folder).captions)

    def train(*data, batch=6, path=""):
        command = [sys.executable, "-m", "open_clip_train.main", "--model", "ViT-S-32", "--batch-size", str(batch),
                   "--epochs", "1", "--workers", "0", "--warmup", "1", "--device", "cpu", "--precision", "fp32", "--logs", str(folder.parent / "logs"), *data]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
        text = done.stdout + done.stderr
        errors = [line for line in text.splitlines() if re.match(r"\w*(Error|Exception)\b", line)]
        assert done.returncode == 0, (errors or [text.strip()])[-1]
        steps = text.count("Train Epoch: 0 [")
        assert steps and f"/{pairs} (" in text, "it trained on nothing"
        return f"{steps} lines of losses over {pairs} samples"

    csv = ["--dataset-type", "csv", "--train-data", "open_clip/pairs.csv", "--csv-img-key", "filepath", "--csv-caption-key", "title"]
    shards = ["--dataset-type", "webdataset", "--train-data", "open_clip/00000.tar"]
    row(library, "the card's command, csv", lambda: train(*csv))
    row(library, "shards with sizes.json, webdataset 0.2.86", lambda: train(*shards, path=str(args.old_webdataset)))
    refused(library, "shards, webdataset 1.0", lambda: train(*shards))
    row(library, "no batch is larger than the card's", lambda: train(*csv, batch=pairs))


def tensorboard_rows(folder):
    import tensorboard
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def check():
        evaluations = sorted((folder.parent / "tb").iterdir())
        assert len(evaluations) == 2, f"{len(evaluations)} folders for two evaluations"
        for evaluation in evaluations:
            run = EventAccumulator(str(evaluation / "vit" / "run 1")).Reload()
            steps = [e.step for e in run.Scalars("loss")]
            assert steps == sorted(set(steps)) and len(steps) > 10, "curves are mixed"
        return f"{len(steps)} losses a run, a folder for each evaluation"

    row(f"tensorboard {tensorboard.__version__}", "--tensorboard", check)


full = args.folder / "imagefolder-webdataset-parquet-open_clip"
for folder in sorted(args.folder.glob("imagefolder*")):
    datasets_rows(folder)
if not args.datasets_only:
    table_rows(full)
    webdataset_rows(full)
    hub_rows(full)
    if not args.light:
        torch_rows(full)
        open_clip_rows(full)
        tensorboard_rows(full)

failed = sum(r[2] == "FAILED" for r in rows)
print(f"{len(rows) - failed} passed, {failed} failed")
if args.json:
    args.json.write_text(json.dumps(rows))
sys.exit(failed > 0)
