#!/bin/sh
# Two containers find each other by name. Every command is printed as a person would type it.
#
# It takes the names mynet, web and busybox:latest, and gives the first two back.
set -eu
cd "$(dirname "$0")"
PATH="$PWD/.venv/bin:$PATH"
work=$(mktemp -d)

[ "$(id -u)" = 0 ] || { echo "demo.sh: namespaces need root: try sudo make demo" >&2 && exit 1; }

# Print a command, then do it.
typed() {
    printf '\n\033[1m$ %s\033[0m\n' "$*"
    "$@"
}

clean_up() {
    rm -rf "$work"
    minirt rm --force web > /dev/null 2>&1 || true
    minirt network rm mynet > /dev/null 2>&1 || true
}
clean_up # what a demo that was interrupted has left
work=$(mktemp -d)
trap clean_up EXIT
trap 'exit 130' INT TERM

typed rootfs-tools/busybox "$work/busybox.tar"
typed minirt image import "$work/busybox.tar" busybox
typed minirt network create mynet
typed minirt run -d --name web --net mynet busybox httpd -f -p 80 -h /www
typed minirt run --rm --net mynet busybox ping -c1 web
typed minirt run --rm --net mynet busybox wget -qO- http://web
typed minirt network inspect mynet
typed minirt ps
typed minirt rm -f web
typed minirt network rm mynet
printf '\nNothing is left but the image. Next: minirt --help, minirt --explain run …\n'
