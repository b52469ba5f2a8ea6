#!/bin/bash
# Installs what the example for Node needs, in a copy of it, and runs it against TCONV_TARGET.
#   node_example.sh REPOSITORY
# Ends with 77, which ctest takes for skipped, without Node, or when its packages cannot be had
# because their registry cannot be reached.
set -euo pipefail
protos=$(realpath "$1")/proto
skipped=77

for program in node npm; do
  command -v $program >/dev/null || {
    echo "skipped: there is no $program"
    exit $skipped
  }
done
example=$(mktemp -d)
trap 'rm -rf "$example"' EXIT
cp "$1"/client/examples/node/*.js* "$example"
cd "$example"
export npm_config_fetch_retries=0
if ! timeout 300 npm ci --ignore-scripts --prefer-offline --no-audit --no-fund </dev/null; then
  if timeout 60 npm ping </dev/null; then exit 1; fi
  echo "skipped: the registry of npm cannot be reached"
  exit $skipped
fi
timeout 300 node forward.js "$TCONV_TARGET" "$protos"
