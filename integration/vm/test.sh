#!/bin/bash
# Run the tests in a Debian guest.
#
#   test.sh bookworm|trixie [PYTEST-WORD…]        (default: -q -n 2 --dist worksteal tests integration)
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
suite=${1:?bookworm or trixie}
shift
[ $# -gt 0 ] || set -- -q -n 2 --dist worksteal tests integration
image=$("$here/build-image.sh" "$suite")
echo "== $suite, in $image"
exec "$here/run.sh" "$image" 'echo "Linux $(uname -r), $(python --version), $(stat -fc %T /sys/fs/cgroup)"
export MINIRT_TEST_PATIENCE='"${VM_PATIENCE:-20}"' MINIRT_TEST_GUEST=1
exec python -m pytest -p no:cacheprovider '"$(printf '%q ' "$@")"
