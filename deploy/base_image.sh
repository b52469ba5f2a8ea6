#!/bin/bash
# base_image.sh RELEASE: makes the image localhost/debian:RELEASE from the Debian mirror that apt
# uses here, for machines that cannot pull one. Needs root. Does nothing when the image exists.
set -euo pipefail

release=$1
image=localhost/debian:$release
if podman image exists "$image"; then
  exit
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' |
  sed -n 1p)
echo "Making $image from $mirror" >&2
debootstrap --variant=minbase "$release" "$work/root" "$mirror" > "$work/log" || {
  tail "$work/log" >&2
  exit 1
}
rm -f "$work"/root/var/cache/apt/archives/*.deb
tar --directory="$work/root" --create . | podman import --quiet - "$image"
