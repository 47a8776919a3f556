#!/bin/bash
# Run a command on a copy of this checkout in a fresh virtual machine; its exit code is this one's.
#
#   run.sh IMAGE COMMAND…       IMAGE is the folder that build-image.sh printed
#
# The words become a script, run as root in a systemd service. Nothing that the guest does
# outlives it: its disk is only read. Emulated unless VM_ACCEL=kvm VM_CPU=host is set, and then
# about twenty times slower than this machine. VM_MEMORY (MiB), VM_CPUS and VM_SECONDS limit it.
# VM_KERNEL has more words for the kernel's command line: "security=selinux".
# The processor is an old model: with newer ones libraries use vector instructions, whose
# emulation takes more than they save, half as much again in all.
set -euo pipefail

[ $# -ge 2 ] || { sed -n '2,/^$/s/^# \?//p' "$0" >&2 && exit 2; }
image=$(realpath "$1")
shift
top=$(cd "$(dirname "$0")/../.." && pwd)
seconds=${VM_SECONDS:-7200}

run=$(mktemp -d /var/tmp/minirt-vm-run.XXXXXX)
trap 'rm -rf "$run"' EXIT

# The second disk: the job, and the files that git knows or does not ignore.
printf '%s\n' "$*" > "$run/job"
date +%s > "$run/time"
tar -cf "$run/disk" -C "$run" job time
git -C "$top" ls-files -z --cached --others --exclude-standard |
    tar -rf "$run/disk" -C "$top" --null --verbatim-files-from --ignore-failed-read \
        --transform 's,^,src/,' -T - 2> /dev/null
truncate --size %4096 "$run/disk"

status=0
timeout --kill-after 10 "$seconds" qemu-system-x86_64 -nodefaults -no-user-config -no-reboot \
    -display none -nic none -machine q35,hpet=off,smm=off,sata=off,usb=off,vmport=off -accel "${VM_ACCEL:-tcg,thread=multi}" \
    -cpu "${VM_CPU:-Nehalem}" -smp "${VM_CPUS:-2}" -m "${VM_MEMORY:-3072}" \
    -kernel "$image/vmlinuz" -initrd "$image/initrd" \
    -append "console=ttyS0 quiet panic=-1 mitigations=off systemd.unit=job.target${VM_KERNEL:+ $VM_KERNEL}" \
    -drive file="$image/root.img",if=virtio,format=raw,snapshot=on \
    -drive file="$run/disk",if=virtio,format=raw,readonly=on \
    -device virtio-rng-pci -serial file:"$run/console" -device virtio-serial-pci \
    -chardev file,id=output,path=/dev/stdout,append=on -device virtserialport,chardev=output,name=output \
    -chardev file,id=status,path="$run/status" -device virtserialport,chardev=status,name=status \
    < /dev/null | cat || status=${PIPESTATUS[0]} # a pipe: qemu opens /dev/stdout once more
if [ "$status" = 124 ] || [ "$status" = 137 ]; then
    echo "run.sh: no end after $seconds s" >&2
    exit 124
fi
code=$(sed -n 's/^exit //p' "$run/status")
if [ -z "$code" ]; then
    tail -n 20 "$run/console" >&2
    echo "run.sh: the guest died" >&2
    exit 125
fi
exit "$code"
