"""A container as its user knows it: a record, a writable layer and, while it runs, a monitor."""
