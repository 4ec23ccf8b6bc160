"""Sets that the real libraries write, read by the real binary: inputs.py BINARY FOLDER [--img2dataset PYTHON] [--json FILE].
A row works only if `protostill check` names the layout and counts the images and captions that were written, with no complaint."""

import argparse
import functools
import http.server
import io
import json
import shutil
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import datasets
import numpy as np
import pandas
import pyarrow
import webdataset
from PIL import Image
from safetensors.numpy import save_file

parser = argparse.ArgumentParser()
parser.add_argument("binary", type=Path)
parser.add_argument("folder", type=Path)
parser.add_argument("--img2dataset", type=Path, help="a Python that has it")
parser.add_argument("--json", type=Path, help="the table for machines")
args = parser.parse_args()

N = 6
random = np.random.default_rng(3)
PICTURES = [Image.fromarray(random.integers(0, 256, (20 + i, 24, 3), dtype=np.uint8)) for i in range(N)]
CAPTIONS = [[f"picture {i}, as it is", f"the same \"{i}\", told otherwise"] for i in range(N)]
UIDS = [f"{int(n):032x}" for n in random.integers(1, 2**62, N)]
rows = []


def run(*command, code=0):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == code, f"exit {done.returncode}: {(done.stderr or done.stdout).strip().splitlines()[-1]}"
    return done.stdout


def tell(library, what, outcome, said):
    rows.append((library, what, outcome, said))
    print(f"{library:22}  {what:64}  {outcome:7}  {said}", flush=True)


def reads(library, layout, captions=2 * N, images=N, at="", splits=("train",), options=()):
    """`write(folder)` is decorated: what it wrote must be read as `layout` with these counts in each of `splits`."""

    def row(write):
        what = write.__doc__
        folder = args.folder / write.__name__
        folder.mkdir(parents=True)
        try:
            write(folder)
            found = json.loads(run(args.binary, *options, "--json", "--progress", "none", "check", folder / at))
            counts = [(found[split]["images"], found[split]["captions"]) for split in splits]
            assert found["layout"] == layout, f"read as {found['layout']}"
            assert counts == [(images, captions)] * len(splits), counts
            assert found["clean"], found["problems"]
            tell(library, what, "works", f"{layout}: {' + '.join(f'{a} images, {b} captions' for a, b in counts)}")
        except Exception as e:  # noqa: BLE001: whatever goes wrong is the row's word on the matter
            tell(library, what, "FAILED", f"{type(e).__name__}: {e}".splitlines()[0][:200])
        return write

    return row


def refuses(library, says):
    """What `write(folder)` leaves must end with 2 and one line that says this."""

    def row(write):
        folder = args.folder / write.__name__
        folder.mkdir(parents=True)
        write(folder)
        done = subprocess.run([args.binary, "--progress", "none", "check", folder], capture_output=True, text=True)
        good = done.returncode == 2 and says in done.stderr + done.stdout
        said = (done.stderr or done.stdout).strip().splitlines()[-1].replace(str(args.folder), "")
        tell(library, write.__doc__, "refused" if good else "FAILED", said[:100] if good else f"exit {done.returncode}: {said[:150]}")

    return row


def saved(folder, ending="png"):
    folder.mkdir(parents=True, exist_ok=True)
    for i, picture in enumerate(PICTURES):
        picture.save(folder / f"{i}.{ending}", quality=95)
    return [f"{i}.{ending}" for i in range(N)]


def encoded(i, form="JPEG"):
    out = io.BytesIO()
    PICTURES[i].save(out, form)
    return out.getvalue()


def dataset():
    columns = {"image": PICTURES, "captions": CAPTIONS, "uid": UIDS}
    return datasets.Dataset.from_dict(columns).cast_column("image", datasets.Image())


def frame(**columns):
    """A row for each caption."""
    flat = [(f"{i}.png", caption) for i, captions in enumerate(CAPTIONS) for caption in captions]
    return pandas.DataFrame({"file_name": [f for f, _ in flat], "text": [c for _, c in flat]} | columns)


DATASETS, PANDAS, WDS = f"datasets {datasets.__version__}", f"pandas {pandas.__version__}", f"webdataset {webdataset.__version__}"
NUMPY, ARROW = f"numpy {np.__version__}", f"pyarrow {pyarrow.__version__}"


@reads(DATASETS, "arrow")
def save_to_disk(folder):
    """Dataset.save_to_disk"""
    dataset().save_to_disk(folder)


@reads(DATASETS, "arrow", splits=("train", "test"))
def save_dict_to_disk(folder):
    """DatasetDict.save_to_disk"""
    other = dataset().map(lambda row: {"image": row["image"].transpose(Image.Transpose.ROTATE_90)})
    datasets.DatasetDict(train=dataset(), test=other).save_to_disk(folder)


@reads(DATASETS, "parquet")
def to_parquet(folder):
    """Dataset.to_parquet: an image struct and a list of captions"""
    dataset().to_parquet(folder / "train-00000-of-00001.parquet")


def ipc(folder, compression=None):
    """Pictures without paths, and texts and bytes as views, as Polars writes them."""
    images = pyarrow.array([encoded(i, "PNG") for i in range(N)], pyarrow.binary_view())
    images = pyarrow.StructArray.from_arrays([images, pyarrow.nulls(N)], ["bytes", "path"])
    captions = pyarrow.array(CAPTIONS, pyarrow.list_(pyarrow.string_view()))
    table = pyarrow.table({"image": images, "captions": captions})
    options = pyarrow.ipc.IpcWriteOptions(compression=compression)
    with pyarrow.ipc.new_file(folder / "train.arrow", table.schema, options=options) as to:
        to.write_table(table)


@reads(ARROW, "arrow")
def ipc_views(folder):
    """ipc.new_file: views, and pictures without paths"""
    ipc(folder)


@refuses(ARROW, "a compressed batch")
def ipc_compressed(folder):
    """ipc.new_file, compressed"""
    ipc(folder, "lz4")


@reads(PANDAS, "imagefolder")
def metadata_csv(folder):
    """metadata.csv"""
    saved(folder)
    frame().to_csv(folder / "metadata.csv", index=False)


@reads(PANDAS, "imagefolder")
def metadata_jsonl(folder):
    """metadata.jsonl in train/"""
    saved(folder / "train")
    frame().to_json(folder / "train/metadata.jsonl", orient="records", lines=True)


@reads(PANDAS, "imagefolder")
def metadata_named(folder):
    """metadata.csv with image_file_name"""
    saved(folder)
    frame().rename(columns={"file_name": "image_file_name"}).to_csv(folder / "metadata.csv", index=False)


@reads(PANDAS, "imagefolder", images=3, captions=6)
def metadata_kinds(folder):
    """metadata.jsonl over gif, bmp and tiff, lists of captions"""
    names = [saved(folder, ending)[i] for i, ending in enumerate(("gif", "bmp", "tiff"))]
    pandas.DataFrame({"file_name": names, "captions": CAPTIONS[:3]}).to_json(
        folder / "metadata.jsonl", orient="records", lines=True)


@reads("text", "files", captions=N)
def names_and_texts(folder):
    """NAME.jpg and NAME.txt"""
    saved(folder, "jpg")
    for i, captions in enumerate(CAPTIONS):
        (folder / f"{i}.txt").write_text(captions[0])


@reads(DATASETS, "parquet", splits=("train", "test"))
def parquet_of_the_hub(folder):
    """Dataset.to_parquet: shards of two splits below data/"""
    (folder / "data").mkdir()
    for split in ("train", "test"):
        other = dataset() if split == "train" else dataset().map(lambda row: {"image": row["image"].transpose(Image.Transpose.ROTATE_90)})
        for shard in range(2):
            other.shard(2, shard).to_parquet(folder / f"data/{split}-{shard:05}-of-00002.parquet")


@reads(PANDAS, "imagefolder")
def metadata_parquet(folder):
    """metadata.parquet, lists of captions"""
    names = saved(folder)
    pandas.DataFrame({"file_name": names, "captions": CAPTIONS}).to_parquet(folder / "metadata.parquet")


def shard(path, **more):
    with webdataset.TarWriter(str(path)) as out:
        for i in range(N):
            out.write({"__key__": f"{i:04}", "jpg": encoded(i)} | {key: of(i) for key, of in more.items()})


@reads(WDS, "webdataset", captions=N)
def tar_of_text(folder):
    """TarWriter: jpg and txt"""
    shard(folder / "00000.tar", txt=lambda i: CAPTIONS[i][0])


@reads(WDS, "webdataset", at="data")
def tar_of_json(folder):
    """TarWriter: jpg and json, below data/"""
    (folder / "data").mkdir()
    shard(folder / "data/00000.tar", json=lambda i: {"captions": CAPTIONS[i], "uid": UIDS[i]})


@reads(WDS, "webdataset", captions=N)
def tar_packed(folder):
    """TarWriter: tar.gz"""
    shard(folder / "00000.tar.gz", txt=lambda i: CAPTIONS[i][0])


@reads("json", "coco")
def coco(folder):
    """COCO's annotations/captions_train2017.json"""
    names = saved(folder / "train2017", "jpg")
    (folder / "annotations").mkdir()
    told = [{"id": 10 * i + k, "image_id": i, "caption": c} for i, both in enumerate(CAPTIONS) for k, c in enumerate(both)]
    about = {"images": [{"id": i, "file_name": name} for i, name in enumerate(names)], "annotations": told}
    (folder / "annotations/captions_train2017.json").write_text(json.dumps(about))


@reads(PANDAS, "table")
def flickr8k(folder):
    """Flickr8k's captions.txt"""
    saved(folder / "Images")
    frame().rename(columns={"file_name": "image", "text": "caption"}).to_csv(folder / "captions.txt", index=False)


@reads("text", "table")
def flickr_token(folder):
    """Flickr8k's .token"""
    saved(folder / "Images")
    lines = [f"{i}.png#{k}\t{caption}" for i, both in enumerate(CAPTIONS) for k, caption in enumerate(both)]
    (folder / "Flickr8k.token.txt").write_text("\n".join(lines) + "\n")


@reads("text", "table")
def flickr30k(folder):
    """Flickr30k's results.csv"""
    saved(folder / "flickr30k_images")
    lines = [f"{i}.png| {k}| {caption}" for i, both in enumerate(CAPTIONS) for k, caption in enumerate(both)]
    (folder / "results.csv").write_text("\n".join(["image_name| comment_number| comment", *lines]) + "\n")


@reads(PANDAS, "table", splits=("train", "test"), images=N // 2, captions=N)
def flickr_annotations(folder):
    """Flickr30k's annotations csv, as the hub has it"""
    names = saved(folder / "flickr30k-images", "jpg")
    columns = {"raw": [json.dumps(c) for c in CAPTIONS], "sentids": [json.dumps([2 * i, 2 * i + 1]) for i in range(N)]}
    splits = ["train" if i < N // 2 else "test" for i in range(N)]
    pandas.DataFrame(columns | {"split": splits, "filename": names, "img_id": range(N)}).to_csv(
        folder / "flickr_annotations_30k.csv", index=False)


@reads(WDS, "webdataset", captions=N, options=("--set", "data.caption=alt"))
def tar_of_two_texts(folder):
    """TarWriter: two texts a sample, chosen by data.caption"""
    shard(folder / "00000.tar", json=lambda i: {"caption": CAPTIONS[i], "alt": CAPTIONS[i][1]})


@reads(PANDAS, "table")
def open_clip(folder):
    """open_clip's csv: filepath and title"""
    saved(folder)
    frame().rename(columns={"file_name": "filepath", "text": "title"}).to_csv(folder / "pairs.csv", sep="\t", index=False)


@reads(PANDAS, "table")
def conceptual(folder):
    """Conceptual Captions' tsv, its pictures there"""
    saved(folder)
    frame()[["text", "file_name"]].to_csv(folder / "Train_GCC-training.tsv", sep="\t", index=False, header=False)


@refuses(PANDAS, "Train_GCC-training.tsv")
def conceptual_of_urls(folder):
    """Conceptual Captions' tsv as it is published"""
    urls = [f"http://example.org/{i}.jpg" for i in range(N)]
    pandas.DataFrame({"text": [c[0] for c in CAPTIONS], "url": urls}).to_csv(
        folder / "Train_GCC-training.tsv", sep="\t", index=False, header=False)


def features(seed, rows=N):
    return np.random.default_rng(seed).normal(size=(rows, 128))


def told_by(write):
    """Pictures, captions and both sides' features, as `write(path without ending, array)` leaves them."""

    def both(folder):
        saved(folder)
        frame().to_csv(folder / "metadata.csv", index=False)
        write(folder / "train_image_embed", features(1))
        write(folder / "train_text_embed", features(2, 2 * N))

    both.__doc__, both.__name__ = write.__doc__, write.__name__
    return both


@reads(NUMPY, "imagefolder")
@told_by
def npy_fortran(path, array):
    """features: npy of float64 in Fortran order"""
    np.save(f"{path}.npy", np.asfortranarray(array))


@reads(NUMPY, "imagefolder")
@told_by
def npz(path, array):
    """features: npz"""
    np.savez(f"{path}.npz", array.astype(np.float32))


@reads(NUMPY, "imagefolder")
@told_by
def npz_compressed(path, array):
    """features: compressed npz of float16"""
    np.savez_compressed(f"{path}.npz", array.astype(np.float16))


@reads("safetensors", "imagefolder")
@told_by
def safetensors(path, array):
    """features: safetensors"""
    save_file({"features": array.astype(np.float32)}, f"{path}.safetensors")


@reads(NUMPY, "clip-retrieval", captions=N)
def clip_retrieval(folder):
    """clip-retrieval: img_emb, text_emb and metadata, no pictures"""
    for name in ("img_emb", "text_emb", "metadata"):
        (folder / name).mkdir()
    for name, seed in (("img_emb", 1), ("text_emb", 2)):
        np.save(folder / name / f"{name}_0.npy", features(seed).astype(np.float16))
    paths = [f"{i}.jpg" for i in range(N)]
    table = pandas.DataFrame({"image_path": paths, "caption": [c[0] for c in CAPTIONS]})
    table.to_parquet(folder / "metadata/metadata_0.parquet")


def half(folder):
    """A file cut in the middle."""
    file = max(folder.rglob("*.*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@refuses(DATASETS, "data-00000-of-00001.arrow")
def save_to_disk_cut(folder):
    """save_to_disk, half of a file"""
    dataset().save_to_disk(folder)
    half(folder)


@refuses(DATASETS, "train-00000-of-00001.parquet")
def to_parquet_cut(folder):
    """to_parquet, half of a file"""
    dataset().to_parquet(folder / "train-00000-of-00001.parquet")
    half(folder)


@refuses(WDS, "00000.tar")
def tar_cut(folder):
    """TarWriter, half of a file"""
    shard(folder / "00000.tar", txt=lambda i: CAPTIONS[i][0])
    half(folder)


def datacomp():
    """The subset of a selection as DataComp's resharder takes it."""
    source, out = args.folder / "tar_of_json/data", args.folder / "chosen"
    # Of six pairs no trust is learned: all are kept.
    run(args.binary, "--progress", "none", "--data", source, "distill", "--method", "random", "--pairs", 4, "--out", out,
        "--format", "datacomp", "--prune", "clip-score")
    subset = np.load(out / "datacomp/uids.npy")
    assert subset.dtype == np.dtype("u8,u8") and (np.sort(subset) == subset).all()
    lines = [json.loads(line) for line in (out / "metadata.jsonl").read_text().splitlines()]
    # As `apply_filter.py` makes it of uids.
    wanted = np.array(sorted({(int(line["uid"][:16], 16), int(line["uid"][16:32], 16)) for line in lines}), np.dtype("u8,u8"))
    assert (subset == wanted).all()
    known = {caption: uid for captions, uid in zip(CAPTIONS, UIDS) for caption in captions}
    assert all(known[line["text"]] == line["uid"] for line in lines)
    return f"{len(subset)} uids of {len(lines)} pairs"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def downloaded(python):
    """The real img2dataset over pictures that a server on this machine has."""
    served = args.folder / "served"
    saved(served, "jpg")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=served))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    urls = [f"http://127.0.0.1:{server.server_address[1]}/{i}.jpg" for i in range(N)]
    pandas.DataFrame({"url": urls, "caption": [c[0] for c in CAPTIONS], "uid": UIDS}).to_parquet(args.folder / "urls.parquet")
    code = ("import sys; from img2dataset import download; download(url_list=sys.argv[1], output_folder=sys.argv[2], output_format=sys.argv[3], "
            "input_format='parquet', url_col='url', caption_col='caption', save_additional_columns=['uid'], processes_count=1, thread_count=4)")
    for form, layout in (("files", "files"), ("parquet", "parquet"), ("webdataset", "webdataset")):
        def write(folder, form=form):
            run(python, "-c", code, args.folder / "urls.parquet", folder, form)
        write.__doc__, write.__name__ = f"its {form} output", f"img2dataset_{form}"
        reads("img2dataset", layout, captions=N)(write)
    server.shutdown()


try:
    tell("DataComp", "--format datacomp", "works", datacomp())
except Exception as e:  # noqa: BLE001
    tell("DataComp", "--format datacomp", "FAILED", f"{type(e).__name__}: {e}".splitlines()[0][:200])
if args.img2dataset:
    downloaded(args.img2dataset)
failed = sum(row[2] == "FAILED" for row in rows)
print(f"{len(rows) - failed} passed, {failed} failed")
if args.json:
    args.json.write_text(json.dumps(rows))
sys.exit(failed > 0)
