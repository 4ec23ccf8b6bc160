#!/usr/bin/env bash
# A wheel in a clean environment: what it needs of glibc, its size, a small run, the explorer in a terminal.
# tools/release/check.sh WHEEL [NEWEST GLIBC, default 2.28]
# With ROOT the folder of an older system (`debootstrap bullseye ROOT`) the last two are done in it, too.
set -euo pipefail
wheel="$(realpath "$1")"
newest="${2:-2.28}"
work="$(mktemp -d)"
trap 'rm -rf "$work" "${inside:-}"' EXIT
size="$(stat -c %s "$wheel")"
[ "$size" -lt 60000000 ] || { echo "$size bytes: a wheel is to be under 60 MB" >&2; exit 1; }
python3 -m venv "$work/venv"
binary="$work/venv/bin/protostill"
case "$wheel" in
    # pip refuses it where the system's own library is glibc; the binary needs neither.
    *musllinux*) python3 -m zipfile -e "$wheel" "$work/wheel" && install -m 755 "$work"/wheel/*.data/scripts/protostill "$binary" ;;
    *) "$work/venv/bin/pip" install -q --no-index "$wheel" ;;
esac
glibc="$(objdump -T "$binary" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -1 | cut -d_ -f2)" || true
[ "$(printf '%s\n%s\n' "${glibc:-0}" "$newest" | sort -V | tail -1)" = "$newest" ] \
    || { echo "needs glibc $glibc, newer than $newest" >&2; exit 1; }

# A small run and the explorer, in the folder $1 as it is called outside and $2 inside of what "$@" runs.
tried() {
    local outside="$1" here="$2"; shift 2
    local command=("$@" env "HOME=$here" "XDG_CACHE_HOME=$here/cache" "XDG_STATE_HOME=$here/state" "XDG_CONFIG_HOME=$here/config" "$here/protostill")
    install -m 755 "$binary" "$outside/protostill"
    "${command[@]}" --version
    "${command[@]}" --progress none distill --pairs 8 --candidates 1 --steps 4 --out "$here/set" | tail -2
    [ "$(ls "$outside/set/images" | wc -l)" = 8 ]
    # It draws itself in a terminal, and q ends it.
    "$work/venv/bin/python" - "${command[@]}" <<'P'
import fcntl, os, pty, select, struct, sys, termios, time
pid, terminal = pty.fork()
if pid == 0:
    os.environ.update(TERM="xterm-256color", COLUMNS="100", LINES="30")
    os.execvp(sys.argv[1], sys.argv[1:])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
seen, asked, end = b"", 0, time.time() + 60
while time.time() < end:
    if select.select([terminal], [], [], 0.5)[0]:
        try:
            seen += os.read(terminal, 65536)
        except OSError:
            break
    if b"Prototypes" in seen and time.time() - asked > 1:
        os.write(terminal, b"q" if not asked else b"y")
        asked = time.time()
assert b"Prototypes" in seen, seen[-2000:]
done = os.waitpid(pid, 0)[1]
assert os.waitstatus_to_exitcode(done) == 0, done
print("the explorer opens and ends")
P
}

mkdir "$work/here"
tried "$work/here" "$work/here"
if [ -n "${ROOT:-}" ]; then
    inside="$(mktemp -d "$ROOT/tmp/XXXXXX")"
    tried "$inside" "/tmp/$(basename "$inside")" chroot "$ROOT"
    echo "the same in $ROOT, $(chroot "$ROOT" sh -c 'ldd --version 2>&1 | head -1')"
fi
echo "$(basename "$wheel"): $((size / 1000000)) MB, glibc ${glibc:-none}"
