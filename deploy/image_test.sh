#!/bin/bash
# image_test.sh [RELEASE]: builds the image on a Debian release (trixie) and tries its container:
# read-only, without capabilities, with no network but its own loopback. It has to become healthy,
# compute what Keras computed, keep its layer across SIGKILL, and end with code 0 on SIGTERM.
# Needs root. Not a part of the gate.
set -euo pipefail
cd "$(dirname "$0")/.."

release=${1:-trixie}
image=localhost/tconv:$release
name=tconv-image-test-$$
case=$PWD/tests/golden/cases/f2-single-pixel
work=$(mktemp -d)

clean_up() {
  podman rm --force --volumes "$name" >/dev/null 2>&1 || true
  podman volume rm --force "$name" >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap clean_up EXIT

fail() {
  echo "FAILED: $*" >&2
  podman logs --tail 20 "$name" >&2 || true
  exit 1
}

tconv() {
  podman exec "$name" tconv "$@"
}

await_health() {
  for _ in {1..50}; do
    podman healthcheck run "$name" >/dev/null 2>&1 && return
    sleep 0.2
  done
  fail "not healthy within 10 seconds"
}

compute() {
  tconv forward up --input /case/input.npy --output - 2>/dev/null
}

# The numbers of a .npy file of float32, one a line; its header has 128 bytes.
numbers() {
  tail -c +129 "$1" | od -An -v -tf4 -w4
}

# Whether two such files hold the same numbers but for the rounding of their sums.
are_close() {
  paste <(numbers "$1") <(numbers "$2") | awk '
    NF != 2 { exit 1 }
    { difference = $1 > $2 ? $1 - $2 : $2 - $1; size = $2 < 0 ? -$2 : $2 }
    difference > 1e-5 * (1 + size) { exit 1 }'
}

./scripts/install image
deploy/base_image.sh "$release"
# Health checks need the docker format.
podman build --format docker --isolation chroot --network host \
  --build-arg BASE="localhost/debian:$release" --tag "$image" .

# The limits are stated because podman's own defaults are beyond what some machines allow.
podman run --detach --name "$name" --read-only --read-only-tmpfs=false --cap-drop all \
  --security-opt no-new-privileges --network none --memory 1g \
  --ulimit nofile=4096:4096 --ulimit nproc=4096:4096 \
  --env TCONV_ALLOW_PLAINTEXT=true --volume "$name:/var/lib/tconv" --volume "$case:/case:ro" "$image" >/dev/null
await_health
[ "$(podman exec "$name" tconv-server --version)" ] || fail "the server has no version"

tconv create --name up --keras /case/layer.json >/dev/null
tconv set-weights up --kernel /case/kernel.npy --bias /case/bias.npy >/dev/null
compute > "$work/output.npy"
are_close "$work/output.npy" "$case/output.npy" || fail "the output is not that of Keras"

podman kill --signal KILL "$name" >/dev/null
podman wait "$name" >/dev/null
podman start "$name" >/dev/null
await_health
compute | cmp - "$work/output.npy" || fail "the output changed after SIGKILL"

podman stop --time 30 "$name" >/dev/null
code=$(podman inspect --format '{{.State.ExitCode}}' "$name")
[ "$code" = 0 ] || fail "SIGTERM ended the server with code $code"

size=$(podman image inspect --format '{{.Size}}' "$image")
echo "PASSED: $image, $((size / 1000000)) MB"
