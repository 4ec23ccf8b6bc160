#!/usr/bin/env bash
# Wheels that hold the binary, and the same as tarballs with their SHA-256: tools/release/build.sh [TARGET...]
# Zig links against an old glibc, or musl. Targets that rustup lacks are said and left out. Nothing is published.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../.." && pwd)"
out="${RELEASE:-$root/target/release-files}"
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu x86_64-unknown-linux-musl aarch64-unknown-linux-musl)
mkdir -p "$out"

venv="$root/target/release-venv"
cmp -s "$here/requirements.txt" "$venv/requirements" || {
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/requirements"
}
export PATH="$venv/bin:$PATH"
PROTOSTILL_COMMIT="$(git -C "$root" rev-parse HEAD)"
export PROTOSTILL_COMMIT
# Nothing of an earlier build goes into a release.
export CARGO_INCREMENTAL=0
version="$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -1)"
# The page on PyPI is the program's own.
cp "$root/README.md" "$here/README.md"
trap 'rm -f "$here/README.md"' EXIT

made=0
for target in "${targets[@]}"; do
    if ! rustup target list --installed | grep -qx "$target"; then
        echo "left out: $target (rustup target add $target)"
        continue
    fi
    case "$target" in
        *-gnu) old=manylinux_2_28 ;;
        *-musl) old=musllinux_1_2 ;;
        *) old=off ;;
    esac
    (cd "$here" && maturin build --release --zig --target "$target" --compatibility "$old" --out "$out")
    name="protostill-$version-$target"
    folder="$(mktemp -d)"
    mkdir "$folder/$name"
    wheel="$(ls -t "$out"/protostill-"$version"-*.whl | head -1)"
    # The binary in the wheel is the one in the tarball.
    python3 -m zipfile -e "$wheel" "$folder/wheel"
    install -m 755 "$folder/wheel/protostill-$version.data/scripts/protostill" "$folder/$name/protostill"
    cp "$root"/{README.md,CHANGELOG.md,LICENSE,LICENSE-APACHE,LICENSE-MIT} "$folder/$name/"
    tar -C "$folder" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git -C "$root" log -1 --format=%ct)" \
        -cf - "$name" | gzip -9n > "$out/$name.tar.gz"
    rm -rf "$folder"
    made=$((made + 1))
done
[ "$made" -gt 0 ] || { echo "no target is installed" >&2; exit 2; }
(cd "$out" && sha256sum -- *.whl *.tar.gz > SHA256SUMS && cat SHA256SUMS && ls -l)
