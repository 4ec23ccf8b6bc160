#!/bin/bash
# One scheduler, one executor a GPU, and the command, in one job: sbatch engine/deploy/slurm.sh --config my.toml distill --out SET
# The store, the data set and the checkpoints lie where every node finds them.
#SBATCH --job-name=protostill
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=12
#SBATCH --time=04:00:00
set -euo pipefail
store="${STORE:-$SLURM_SUBMIT_DIR/store}"
port="${PORT:-50050}"
# Addresses of the private network.
head="$(getent ahostsv4 "$(hostname)" | awk '{ print $1; exit }')"
mkdir -p "$store"
# What only this job knows: others on the network are turned away.
secret="$(mktemp -p "$store" .secret-XXXXXX)"
head -c 32 /dev/urandom | base64 > "$secret"

protostill-cluster --secret "$secret" scheduler --bind "$head:$port" &
scheduler=$!
# Each sees its own GPU as cuda:0.
srun bash -c 'exec protostill-cluster --secret "$2" --device cuda:0 executor --scheduler "$1" \
    --bind "$(getent ahostsv4 "$(hostname)" | awk "{ print \$1; exit }")"' executor "$head:$port" "$secret" &
executors=$!
trap 'kill "$executors" "$scheduler" 2>/dev/null || true; rm -f "$secret"' EXIT

# A job that was cut off is submitted again as it is: what is done stays done.
protostill-cluster --secret "$secret" --on "df://$head:$port" --store "$store" "$@"
