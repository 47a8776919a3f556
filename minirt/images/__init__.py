"""Images: an OCI image layout, and layers unpacked once and shared read-only."""
