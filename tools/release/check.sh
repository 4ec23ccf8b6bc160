#!/usr/bin/env bash
# A wheel in a clean environment: what it needs of glibc, its size, a small run, the explorer in a terminal.
# tools/release/check.sh WHEEL [NEWEST GLIBC, default 2.28]
set -euo pipefail
wheel="$(realpath "$1")"
newest="${2:-2.28}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
size="$(stat -c %s "$wheel")"
[ "$size" -lt 60000000 ] || { echo "$size bytes: a wheel is to be under 60 MB" >&2; exit 1; }
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-index "$wheel"
binary="$work/venv/bin/protostill"
glibc="$(objdump -T "$binary" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -1 | cut -d_ -f2)"
[ "$(printf '%s\n%s\n' "${glibc:-0}" "$newest" | sort -V | tail -1)" = "$newest" ] \
    || { echo "needs glibc $glibc, newer than $newest" >&2; exit 1; }
export XDG_CACHE_HOME="$work/cache" XDG_STATE_HOME="$work/state" XDG_CONFIG_HOME="$work/config"
cd "$work"
"$binary" --version
"$binary" --progress none distill --pairs 8 --candidates 1 --steps 4 --out set | tail -2
[ "$(ls set/images | wc -l)" = 8 ]
# The explorer draws itself in a terminal, and q ends it.
"$work/venv/bin/python" - "$binary" <<'P'
import os, pty, select, sys, time
pid, terminal = pty.fork()
if pid == 0:
    os.environ.update(TERM="xterm-256color", COLUMNS="100", LINES="30")
    os.execv(sys.argv[1], [sys.argv[1]])
import fcntl, struct, termios
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
echo "$(basename "$wheel"): $((size / 1000000)) MB, glibc ${glibc:-none}"
