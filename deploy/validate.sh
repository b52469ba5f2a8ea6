#!/bin/bash
# Checks the files of this folder as far as that is possible without a cluster: what a tool accepts
# still has to be tried. A tool that is missing is a failure; "./scripts/install deploy" has them,
# but for the types of Kubernetes, which come from npm.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() {
  printf '== %s\n' "$*"
}

say "compose.yaml"
TCONV_DATABASE_PASSWORD=x TCONV_GRAFANA_PASSWORD=x docker-compose --file compose.yaml config --quiet

say "haproxy.cfg"
TCONV_BIND=unix@$work/socket TCONV_REPLICA_1=127.0.0.1:1 TCONV_REPLICA_2=127.0.0.1:2 \
  TCONV_REPLICA_3=127.0.0.1:3 haproxy -c -q -f haproxy.cfg

say "prometheus.yaml and alerts.yaml"
promtool check config prometheus.yaml
promtool check rules alerts.yaml
promtool test rules alerts_test.yaml

say "grafana.json"
python3 -m json.tool grafana.json >/dev/null

say "kubernetes and kserve"
for overlay in kubernetes/overlays/*; do
  kubectl kustomize "$overlay" > "$work/$(basename "$overlay").yaml"
done
(
  cd "$work"
  npm install --silent --no-audit --no-fund kubernetes-models@4 typescript@5 yaml@2
  node "$OLDPWD/check_manifests.mjs" "$work"/*.yaml "$OLDPWD"/kserve/*.yaml
)

say "shell scripts"
bash -n ./*.sh make_rootfs
