#!/usr/bin/env bash
# What protostill writes, loaded by the libraries that its users have, and what they write, read by it: run.sh [--light] [BINARY]
# --light leaves out what needs torch, and img2dataset. The environments go to $CLIENTS (default target/clients) and are kept there.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../.." && pwd)"
light=; [ "${1:-}" = --light ] && { light=--light; shift; }
binary="$(realpath "${1:-$root/target/release/protostill}")"
home="${CLIENTS:-$root/target/clients}"
mkdir -p "$home"
home="$(realpath "$home")"

# An environment with these requirements, unless it has them.
environment() {
    local venv="$home/$1"; shift
    local files=("$@")
    if ! cmp -s <(cat "${files[@]}") "$venv/requirements"; then
        python3 -m venv "$venv"
        # What an index lacks, or its absence, is no verdict on us: 75.
        "$venv/bin/pip" install -q "${files[@]/#/-r}" || exit 75
        cat "${files[@]}" > "$venv/requirements"
    fi
}

new=("$here/requirements.txt")
[ -n "$light" ] || new+=("$here/requirements-torch.txt")
environment "new${light}" "${new[@]}"
environment old "$here/requirements-old.txt"
# What open_clip's reader of shards asks for (<= 0.2.86), beside the one that everybody else has.
[ -n "$light" ] || [ -d "$home/webdataset" ] \
    || "$home/new/bin/pip" install -q --no-deps --target "$home/webdataset" webdataset==0.2.86
# It asks for an older webdataset than everybody has, too.
download=()
[ -n "$light" ] || { environment img2dataset "$here/requirements-img2dataset.txt"; download=(--img2dataset "$home/img2dataset/bin/python"); }

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
# Nothing is asked of a hub, and nothing is left in the caches of who runs this.
export HF_HOME="$work/hf" HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1 XDG_CACHE_HOME="$home/cache"
"$home/new${light}/bin/python" "$here/make.py" "$binary" "$work"
status=0
"$home/new${light}/bin/python" "$here/clients.py" "$work" $light --binary "$binary" --old-webdataset "$home/webdataset" --json "$work/new.json" || status=1
"$home/old/bin/python" "$here/clients.py" "$work" --datasets-only --json "$work/old.json" || status=1
"$home/new${light}/bin/python" "$here/inputs.py" "$binary" "$work/inputs" "${download[@]}" --json "$work/inputs.json" || status=1
# The page of `report` in a browser (Debian: chromium, chromium-driver).
if [ -n "$light" ] || ! command -v chromedriver > /dev/null; then
    echo "left out: the report in Chromium"
else
    environment report "$here/requirements-report.txt"
    "$home/report/bin/python" "$here/report.py" "$binary" "$work/report" --json "$work/report.json" || status=1
fi
exit $status
