"""Write minirt/kernel/syscalls.json from the kernel's own headers.

    python tools/syscall_tables.py > minirt/kernel/syscalls.json

The headers of all architectures come with Debian 13's package linux-libc-dev. Where
the kernel has new system calls: newer headers, run it again, and look at the difference.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

INCLUDE = Path("/usr/include")
HEADERS = {
    "x86_64": "x86_64-linux-gnu/asm/unistd_64.h",
    "i386": "x86_64-linux-gnu/asm/unistd_32.h",
    "x32": "x86_64-linux-gnu/asm/unistd_x32.h",
    "aarch64": "aarch64-linux-gnu/asm/unistd_64.h",
    "arm": "arm-linux-gnueabihf/asm/unistd-eabi.h",
}
# "#define __NR_read 0", "(__X32_SYSCALL_BIT + 0)", "(__NR_SYSCALL_BASE + 0)".
CALL = re.compile(r"#define __NR_(\w+)\s+\(?(?:(__\w+)\s*\+\s*)?(\d+)\)?$", re.MULTILINE)
BASES = {"": 0, "__NR_SYSCALL_BASE": 0, "__X32_SYSCALL_BIT": 0x4000_0000}
# arch/arm/include/uapi/asm/unistd.h: calls of ARM alone, (__ARM_NR_BASE + N).
ARM_PRIVATE = {"breakpoint": 1, "cacheflush": 2, "usr26": 3, "usr32": 4, "set_tls": 5, "get_tls": 6}
ARM_BASE = 0x0F_0000


def main() -> None:
    """Print the document."""
    version = subprocess.check_output(
        ["dpkg-query", "-W", "-f", "${Version}", "linux-libc-dev"], text=True
    )
    document: dict[str, object] = {
        "about": "System calls of Linux by name; made by tools/syscall_tables.py",
        "source": f"linux-libc-dev {version}, {', '.join(HEADERS.values())}",
    }
    document |= {name: table(INCLUDE / header) for name, header in HEADERS.items()}
    arm = document["arm"]
    assert isinstance(arm, dict)
    arm |= {name: ARM_BASE + number for name, number in ARM_PRIVATE.items()}
    arm["sync_file_range2"] = arm["arm_sync_file_range"]  # asm/unistd.h: the same call
    json.dump(document, sys.stdout, indent=0)
    print()


def table(header: Path) -> dict[str, int]:
    """Read the calls that a header defines, in the order of their numbers."""
    found = {
        name: BASES[base] + int(number) for name, base, number in CALL.findall(header.read_text())
    }
    return dict(sorted(found.items(), key=lambda item: item[1]))


if __name__ == "__main__":
    main()
