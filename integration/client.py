"""``python -IS client.py PACKAGES WORD…``: minirt as setup.sh installs it, and as it is typed."""

import sys

sys.path += [__file__.rsplit("/", 2)[0], sys.argv.pop(1)]
sys.argv[0] = "minirt"

from minirt.server.client import main  # noqa: E402 (the path comes first)

main()
