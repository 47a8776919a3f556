"""``minirt-oci``: the command line that podman, docker and containerd expect of a runtime.

It runs in its caller's process tree: ``create`` leaves and init lives on, adopted by the
caller's subreaper. Nothing here knows about images, networks or monitors.
"""

OCI_VERSION = "1.2.0"  # runtime.spec's, which is not imported for its sake
