#!/bin/bash
# Make the disk, kernel and initrd of a Debian guest in which the tests can run; print its folder.
#
#   build-image.sh bookworm|trixie
#
# The guest has what users' machines have and this one may lack: systemd, cgroup v2 alone, all
# capabilities, AppArmor. It has no network; all that the tests need is put in here. The image
# is kept in $MINIRT_VM_CACHE (~/.cache/minirt-vm) under a name that follows from its recipe.
set -euo pipefail

suite=${1:?bookworm or trixie}
case $suite in
    bookworm) python=3.11 ;;
    trixie) python=3.13 ;;
    *) echo "build-image.sh: no such suite: $suite" >&2 && exit 2 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
cache=${MINIRT_VM_CACHE:-$HOME/.cache/minirt-vm}

packages=$("$top/setup.sh" list test | grep -vx vagrant | paste -sd,)
packages+=,systemd,systemd-sysv,dbus,udev,kmod,libpam-systemd,linux-image-cloud-amd64
packages+=,python3,python3-venv,python3-dev,ca-certificates
packages+=,apparmor # its parser is what dockerd of Debian 12 insists on, where the kernel has AppArmor
packages+=,secilc # compiles the policy of the tests of SELinux; no service, nothing else needs it
# What pyproject.toml asks for, less the linters: they look at files, on any machine.
requirements=$(python3 - "$top/pyproject.toml" << 'PYTHON'
import sys, tomllib
project = tomllib.load(open(sys.argv[1], "rb"))["project"]
wanted = project["dependencies"] + project["optional-dependencies"]["dev"] + ["setuptools"]
print(*(one for one in wanted if not one.startswith(("mypy", "ruff"))), sep="\n")
PYTHON
)

recipe=$(cat "$0" <(echo "$suite $packages $requirements $("$top/setup.sh" list peers)") | sha256sum | cut -c1-12)
image=$cache/$suite-$recipe
if [ -e "$image/complete" ]; then
    echo "$image"
    exit
fi

work=$(mktemp -d /var/tmp/minirt-vm.XXXXXX)
trap 'rm -rf --one-file-system "$work"' EXIT
mkdir -p "$work/files" "$work/wheels" "$work/initrd"/{bin,dev,root,modules}

# ---- Python packages: wheels for the guest's Python; python-prctl has none and is compiled there ----
pip() { python3 -m pip --disable-pip-version-check --quiet "$@" >&2; }
grep -v '^python-prctl' <<< "$requirements" > "$work/requirements"
pip download --dest "$work/wheels" --only-binary :all: --implementation cp --python-version "$python" \
    --requirement "$work/requirements"
pip download --dest "$work/wheels" --no-deps --no-binary :all: \
    "$(grep '^python-prctl' <<< "$requirements")"
cp "$work/requirements" "$work/wheels/"

# ---- files that are not Debian's ----
file() { mkdir -p "$(dirname "$work/files$1")" && cat > "$work/files$1"; }

file /etc/hostname <<< guest
file /etc/hosts <<< $'127.0.0.1 localhost guest\n::1 localhost'
file /etc/resolv.conf <<< 'nameserver 127.0.0.1'
file /etc/machine-id <<< 00000000000000000000000000000001 # a known one: no "first boot" work
file /etc/modules-load.d/tests.conf <<< br_netfilter # where it is, Docker is or was: the harder case
file /etc/systemd/system/job.target << 'UNIT'
[Unit]
Description=The guest does its job and leaves
Requires=basic.target job.service
After=basic.target
Wants=dbus.socket systemd-logind.service
AllowIsolate=yes
UNIT
# A service with a delegated cgroup is what systemd gives to container managers.
file /etc/systemd/system/job.service << 'UNIT'
[Unit]
After=basic.target dbus.socket systemd-logind.service
FailureAction=poweroff-immediate
SuccessAction=poweroff-immediate
[Service]
Type=exec
ExecStart=/bin/bash /usr/local/lib/job
Delegate=yes
TasksMax=infinity
LimitNOFILE=524288
OOMPolicy=continue
StandardInput=null
StandardOutput=file:/dev/hvc0
StandardError=inherit
UNIT
file /usr/local/lib/job << 'JOB'
# The second disk is a tar archive: the script "job", "time", and the files of the project in src/.
ports=/dev/virtio-ports
until [ -c $ports/output ] && [ -c $ports/status ]; do sleep 0.05; done
mkdir -p /srv/job
mount -t tmpfs -o size=50% job /srv/job
tar -x -f /dev/vdb -C /srv/job
date --set "@$(cat /srv/job/time)" > /dev/null
cd /srv/job/src
export HOME=/root LANG=C.UTF-8
export PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
PATH=$PATH:/opt/peers/usr/bin:/opt/peers/usr/sbin
bash /srv/job/job > $ports/output 2>&1
echo "exit $?" > $ports/status
sleep 0.2
JOB
file /usr/local/lib/make-venv << 'VENV'
python3 -m venv /opt/venv
pip="/opt/venv/bin/pip --quiet --no-cache-dir install --no-index --find-links /opt/wheels"
$pip setuptools
$pip --no-build-isolation --requirement /opt/wheels/requirements.txt python-prctl
echo /srv/job/src > "$(echo /opt/venv/lib/python3.*/site-packages)/minirt.pth"
printf '#!/bin/sh\nexec /opt/venv/bin/python -m minirt "$@"\n' > /opt/venv/bin/minirt
chmod 755 /opt/venv/bin/minirt
rm -rf /opt/wheels
VENV
mv "$work/wheels/requirements" "$work/wheels/requirements.txt"

# ---- Debian ----
mmdebstrap --quiet --variant=minbase --mode=root --format=directory \
    --aptopt='Apt::Install-Recommends "false"' --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --include="$packages" \
    --customize-hook='mkdir -p "$1/opt/wheels"' \
    --customize-hook="sync-in $work/wheels /opt/wheels" \
    --customize-hook="sync-in $work/files /" \
    --customize-hook='chroot "$1" sh -e /usr/local/lib/make-venv' \
    --customize-hook="APT_CONFIG=\$MMDEBSTRAP_APT_CONFIG $top/setup.sh peers \$1/opt/peers" \
    --customize-hook='chroot "$1" useradd --create-home --uid 1000 --shell /bin/bash tester' \
    --customize-hook='systemctl --root="$1" --quiet mask apt-daily.timer apt-daily-upgrade.timer \
        dpkg-db-backup.timer e2scrub_all.timer fstrim.timer systemd-tmpfiles-clean.timer' \
    "$suite" "$work/root" >&2

# ---- kernel, initrd, disk ----
# Debian's own initrd takes long to unpack in emulation; this one finds the disk and switches.
cp "$work/root/bin/busybox" "$work/initrd/bin/"
kernel=$(ls "$work/root/lib/modules")
for module in virtio_pci virtio_blk crc32c_generic ext4; do # built in or not: that depends on the suite
    chroot "$work/root" modprobe --set-version "$kernel" --show-depends "$module" 2> /dev/null || true
done | awk '$1 == "insmod" && !seen[$2]++ {print $2}' > "$work/modules"
number=10
while read -r module; do
    number=$((number + 1))
    case $module in
        *.xz) xz --decompress --stdout "$work/root$module" > "$work/initrd/modules/$number.ko" ;;
        *) cp "$work/root$module" "$work/initrd/modules/$number.ko" ;;
    esac
done < "$work/modules"
cat > "$work/initrd/init" << 'INIT'
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*; do [ ! -e "$module" ] || /bin/busybox insmod "$module"; done
/bin/busybox mount -t ext4 -o rw,noatime /dev/vda /root || /bin/busybox poweroff -f
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /sbin/init "$@"
INIT
chmod 755 "$work/initrd/init"

making=$image.$$
mkdir -p "$making"
cp "$work"/root/boot/vmlinuz-* "$making/vmlinuz"
(cd "$work/initrd" && find . | cpio --quiet --create --format newc) > "$making/initrd"
rm -rf "$work"/root/boot/* "$work"/root/var/lib/apt/lists/*
mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=1 -d "$work/root" "$making/root.img" 5G >&2
touch "$making/complete"
rm -rf "$image"
mv --no-target-directory "$making" "$image"
echo "$image"
