"""``python -m minirt.oci``: the same as the console script ``minirt-oci``."""

from __future__ import annotations

from minirt.oci.main import main

if __name__ == "__main__":
    main()
