#!/bin/bash
# Makes certificates to try TLS with, and to test it: an authority of their own, a server that is
# localhost, and a client. Not for production: the key of the authority lies beside the others.
#
#   deploy/dev_certs.sh FOLDER [DAYS]
#
# In FOLDER come to lie ca.crt, server.crt, server.key, client.crt and client.key; an authority
# that is there already is used again, the others are replaced.
set -euo pipefail

folder=${1:?"the folder for the certificates is missing"}
days=${2:-30}
mkdir -p "$folder"
cd "$folder"
umask 077

new_key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

# make_certificate NAME EXTENSION: NAME.key and NAME.crt. A server finds the pair complete at any
# time: the new files take the place of the old ones at once, the key first.
make_certificate() {
  local name=$1 extension=$2
  new_key "$name.key.new"
  openssl req -new -key "$name.key.new" -subj "/CN=tconv $name" -out "$name.csr"
  openssl x509 -req -in "$name.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days "$days" \
    -extfile <(printf 'basicConstraints=CA:FALSE\n%s\n' "$extension") -out "$name.crt.new" \
    2>/dev/null
  rm "$name.csr"
  mv "$name.key.new" "$name.key"
  mv "$name.crt.new" "$name.crt"
}

if [[ ! -e ca.key ]]; then
  new_key ca.key
  openssl req -x509 -new -key ca.key -days "$days" -subj "/CN=tconv test authority" \
    -addext keyUsage=critical,keyCertSign,cRLSign -out ca.crt
fi
make_certificate server "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"
make_certificate client "extendedKeyUsage=clientAuth"
