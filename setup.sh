#!/bin/sh
# Install what minirt needs on Debian 12 or 13, and minirt itself into .venv.
#
#   ./setup.sh             to use it
#   ./setup.sh test        to test it, too       (also: bench, vm, fresh)
#   ./setup.sh list test   only print the Debian packages
#   ./setup.sh peers DIR   unpack docker, firewalld and the like ("test" and "bench": into .peers)
#
# PYTHON=/usr/bin/python3 chooses the interpreter (3.11 or newer) of a new .venv.
# What is there is left alone: a second run asks dpkg, compares one check sum, and is done.
set -eu
cd "$(dirname "$0")"

# Each with its reason. No program of theirs is on minirt's own road, only libraries.
use="libnftables1"                          # packet filters, loaded by ctypes
use="$use libcap-dev gcc libc6-dev"         # python-prctl is compiled when it is installed
use="$use netbase"                          # /etc/protocols: libnftables of Debian 12 looks names up there
use="$use busybox-static"                   # what the demo's image is made of
use="$use tini"                             # the init of "run --init"
test="iproute2 iputils-ping procps bridge-utils nftables iptables conntrack util-linux strace"
test="$test tcpdump bind9-dnsutils dnsperf curl netcat-openbsd"   # clients, as a person would use them
test="$test skopeo podman buildah crun netavark aardvark-dns" # other people's images, to be read and written
test="$test bzip2 xz-utils zstd"            # and how they are packed
test="$test e2fsprogs"                      # chattr, lsattr
test="$test mmdebstrap"                     # Debian's own image
test="$test vagrant"                         # judges the Vagrantfile
test="$test dbus-daemon python3-dbus python3-gi gir1.2-glib-2.0" # firewalld is driven by these
test="$test zsh fish"                        # complete our words, as bash does
test="$test git make"
bench="$test hyperfine iperf3"
vm="qemu-system-x86 qemu-utils mmdebstrap e2fsprogs cpio xz-utils git"
fresh="mmdebstrap slirp4netns git"           # a Debian root, and a network for it
peers="docker.io containerd runc"            # to be compared with, and to drive minirt-oci
peers="$peers firewalld python3-firewall python3-nftables ufw" # other people's firewalls

die() {
    echo "setup.sh: $*" >&2
    exit 1
}

packages_of() {
    case $1 in
        use) echo "$use" ;;
        test) echo "$use $test" ;;
        bench) echo "$use $bench" ;;
        vm) echo "$use $vm" ;;
        fresh) echo "$fresh" ;;
        peers) echo "$peers" ;;
        *) die "no set of packages is called '$1': use, test, bench, vm, fresh or peers" ;;
    esac
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo > /dev/null; then
        sudo "$@"
    else
        die "root is needed for: $*"
    fi
}

# Print which of the packages are not installed. Debian's own tool is asked once for all.
missing_of() {
    installed=$(dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' "$@" 2> /dev/null |
        sed -n 's/^installed //p')
    for package in "$@"; do
        printf '%s\n' "$installed" | grep -qx "$package" || printf '%s ' "$package"
    done
}

install_packages() {
    missing=$(missing_of "$@")
    [ -n "$missing" ] || return 0
    echo "Installing Debian packages: $missing"
    apt="as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -qq"
    get="$apt install --yes --no-install-recommends -o Dpkg::Use-Pty=0"
    # A new machine has no lists, an old one those of packages that are gone: both are cured so.
    # shellcheck disable=SC2086  # words are what is wanted
    $get $missing > /dev/null 2>&1 || { $apt update && $get $missing > /dev/null; } ||
        die "apt-get could not install: $missing"
}

# Unpack the peers into a folder. They are not installed: with their packages dockerd and firewalld
# would be started, and change the packet filter of this machine.
unpack_peers() {
    [ "$(cat "$1/packages" 2> /dev/null)" != "$peers" ] || return 0
    echo "Unpacking Debian packages into $1: $peers"
    work=$(mktemp -d)
    (cd "$work" && { download_peers || { as_root apt-get -qq update && download_peers; }; }) ||
        die "apt-get could not download: $peers"
    rm -rf "$1"
    mkdir -p "$1"
    for package in "$work"/*.deb; do dpkg-deb --extract "$package" "$1"; done
    rm -r "$work"
    echo "$peers" > "$1/packages"
}

# From Debian 13 on Docker's client is a package of its own.
download_peers() {
    # shellcheck disable=SC2046,SC2086  # words are what is wanted
    apt-get -qq download $peers $(apt-cache pkgnames docker-cli | grep -x docker-cli) > /dev/null 2>&1
}

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null
}

# Print the interpreter for .venv: the caller's choice, the one it was made with, Debian's, or the
# PATH's. Debian's is compiled with what it learned from running (PGO): one that was compiled at home
# mostly is not, and takes up to twice as long.
find_python() {
    for candidate in "${PYTHON:-$(cat .venv/minirt-python 2> /dev/null)}" /usr/bin/python3 python3; do
        if [ -n "$candidate" ] && is_new_enough "$candidate"; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
}

make_venv() {
    python=$(find_python)
    # Debian's Python comes without the parts that make environments and compile extensions.
    case $python in
        "" | /usr/bin/*) install_packages python3 python3-venv python3-dev ;;
    esac
    python=${python:-$(find_python)}
    [ -n "$python" ] || die "no Python 3.11 or newer; PYTHON=… names one"
    if [ "$(cat .venv/minirt-python 2> /dev/null)" != "$python" ]; then
        echo "Making .venv with $("$python" --version) ($python)"
        rm -rf .venv
        "$python" -m venv .venv
        echo "$python" > .venv/minirt-python
    fi
    wanted=$(cksum < pyproject.toml)
    case $1 in test) stamps=.venv/minirt-test extra='[dev]' ;; *) stamps='.venv/minirt-use .venv/minirt-test' extra= ;; esac
    # shellcheck disable=SC2086  # words are what is wanted
    ! cat $stamps 2> /dev/null | grep -qxF "$wanted" || return 0
    echo "Installing minirt$extra into .venv"
    # "compat" makes an editable install a line in a .pth file; the default is an import hook,
    # which every start of minirt would pay for.
    .venv/bin/pip install --quiet --disable-pip-version-check --editable ".$extra" \
        --config-settings editable_mode=compat
    quick_start
    echo "$wanted" > ".venv/minirt-$1"
}

# Write the commands anew: without a look at the environment and at site-packages (-I, -S of
# python(1)) an interpreter starts in half the time. minirt mostly asks its server only, and of
# minirt-oci a caller needs three starts for one container. Their first module is read from its
# file: to look for it by its name takes a quarter of a millisecond.
quick_start() {
    case $PWD in *[!a-zA-Z0-9/._+-]*) return ;; esac # no name for a first line
    packages=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
    for command in minirt:minirt.server.client minirt-oci:minirt.oci.main; do
        module=${command##*:}
        cat > ".venv/bin/${command%%:*}" << END
#!$PWD/.venv/bin/python -IS
import sys

sys.path.insert(0, "$PWD")
sys.path.append("$packages")

names = {"__name__": "$module"}
reader = type(__loader__)("$module", "$PWD/$(echo "$module" | tr . /).py")
exec(reader.get_code("$module"), names)
sys.exit(names["main"]())
END
    done
}

case ${1:-use} in
    list) packages_of "${2:-use}" | tr -s ' ' '\n' ;;
    peers) unpack_peers "${2:?a folder}" ;;
    *)
        set_of=${1:-use}
        [ -r /etc/debian_version ] || die "this is not Debian: install what './setup.sh list $set_of' names"
        [ -z "${PYTHON:-}" ] || is_new_enough "$PYTHON" || die "$PYTHON is no Python 3.11 or newer"
        # shellcheck disable=SC2046  # words are what is wanted
        install_packages $(packages_of "$set_of")
        case $set_of in use | test) make_venv "$set_of" ;; bench) make_venv use ;; esac
        case $set_of in test | bench) unpack_peers .peers ;; esac
        ;;
esac
