#!/bin/sh
# Two containers find each other by name. Every command is printed as a person would type it.
set -eu
cd "$(dirname "$0")"
PATH="$PATH:$PWD/.venv/bin"

die() {
    echo "demo.sh: $*" >&2
    exit 1
}

# Print a command, quoted where a shell needs it, and do it.
typed() {
    printf '\n%s$' "$bold"
    for word in "$@"; do
        case $word in
            *[!a-zA-Z0-9_./:=,@%+-]*) printf " '%s'" "$word" ;;
            *) printf ' %s' "$word" ;;
        esac
    done
    printf '%s\n' "$plain"
    "$@"
}

clean_up() {
    rm -rf "$work"
    minirt rm --force web > /dev/null 2>&1 || true
    minirt network rm mynet > /dev/null 2>&1 || true
}

bold='' plain=''
[ ! -t 1 ] || bold=$(printf '\033[1m') plain=$(printf '\033[0m')

[ "$(id -u)" = 0 ] || die "namespaces need root: try sudo make demo"
# What bears one of these names belongs to somebody else, or to a demo that was killed.
minirt inspect web > /dev/null 2>&1 && die "there is a container called web: minirt rm -f web"
minirt network inspect mynet > /dev/null 2>&1 && die "there is a network called mynet: minirt network rm mynet"
work=$(mktemp -d)
trap clean_up EXIT
trap 'exit 130' INT TERM

typed rootfs-tools/busybox "$work/busybox.tar"
typed minirt image import "$work/busybox.tar" busybox --change 'CMD ["sh"]'
typed minirt network create mynet
typed minirt run -d --name web --net mynet busybox httpd -f -p 80 -h /www
typed minirt run --rm --net mynet busybox ping -c1 web
typed minirt run --rm --net mynet busybox wget -qO- http://web
typed minirt network inspect mynet
typed minirt ps
typed minirt rm -f web
typed minirt network rm mynet
printf '\nNothing is left but the image. Go on with minirt --help, or minirt --explain run …\n'
