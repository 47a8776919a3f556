#!/bin/bash
# Run the two commands of the README on a fresh Debian machine: a root file system that has only git,
# make and ca-certificates, with a clone of the last commit in /root/minirt, as root.
#
#   fresh.sh bookworm|trixie [COMMAND…]        (default: make demo, then make test)
#
# The machine is a directory of its own, entered with pivot_root(2), in namespaces of its own. Its network is
# slirp4netns(1): a process that speaks TCP and UDP for it, so packages can be downloaded and the
# packet filter of this machine stays as it is. Only the kernel and the cgroups are this machine's.
set -euo pipefail

suite=${1:?bookworm or trixie}
shift
[ $# -gt 0 ] || set -- sh -c 'make demo && make test'
top=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d /var/tmp/minirt-fresh.XXXXXX)
root=$work/root
machine='' network=''

clean_up() {
    [ -z "$network" ] || kill "$network" 2> /dev/null || true
    [ -z "$machine" ] || kill -KILL "$machine" 2> /dev/null || true
    rm -rf --one-file-system "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

mmdebstrap --quiet --variant=minbase --mode=root --include=git,make,ca-certificates "$suite" "$root" >&2
# What the network around this machine asks of every client is asked of the fresh machine, too.
if [ -d /usr/local/share/ca-certificates ]; then
    cp -r /usr/local/share/ca-certificates "$root/usr/local/share/"
    chroot "$root" update-ca-certificates > /dev/null 2>&1
fi
git clone --quiet "file://$top" "$root/root/minirt"
chmod 0700 "$root/root"
echo "nameserver 10.0.2.3" > "$root/etc/resolv.conf" # slirp4netns(1), --configure
echo fresh > "$root/etc/hostname"
printf '127.0.0.1 localhost fresh\n::1 localhost\n' > "$root/etc/hosts"

# PID 1 of the machine. It waits for its network, and enters its root.
cat > "$work/boot" << 'BOOT'
set -eu
root=$1
shift
hostname fresh
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
mkdir -p "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
ln -sf pts/ptmx "$root/dev/ptmx"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
until [ -d /sys/class/net/tap0 ] || [ -d "$root/sys/class/net/tap0" ]; do sleep 0.05; done
cd "$root"
mkdir -p old
pivot_root . old
umount --lazy /old
rmdir /old
cd /root/minirt
exec "$@"
BOOT

settings=(HOME=/root TERM=dumb PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
for name in CI WORKERS MINIRT_TEST_PATIENCE http_proxy https_proxy no_proxy PIP_INDEX_URL PIP_CERT PIP_DEFAULT_TIMEOUT; do
    [ -z "${!name:-}" ] || settings+=("$name=${!name}")
done
echo "== $suite, fresh: $*"
unshare --net unshare --mount --pid --ipc --uts --fork --kill-child \
    env -i "${settings[@]}" sh "$work/boot" "$root" "$@" &
machine=$!
until [ "$(readlink "/proc/$machine/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
slirp4netns --configure --mtu=65520 "$machine" tap0 > "$work/network.log" 2>&1 &
network=$!
status=0
wait "$machine" || status=$?
machine=''
echo "== $suite, fresh: exit status $status"
exit "$status"
