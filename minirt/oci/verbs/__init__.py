"""One verb of ``minirt-oci`` per file, imported when it is called."""
