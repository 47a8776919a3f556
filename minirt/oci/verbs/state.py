"""``minirt-oci state``: what runtime.md calls the state, as JSON."""

from __future__ import annotations

import json
import sys

from minirt.oci import lifecycle, records
from minirt.oci.words import Asked


def run(asked: Asked) -> int:
    """Print it."""
    record = records.load(asked.id)
    document = lifecycle.document(record)
    if record.annotations:
        document["annotations"] = dict(record.annotations)
    document["owner"] = ""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    return 0
