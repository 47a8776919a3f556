"""The OCI lifecycle on a bundle: create, start, and the init process in between.

Nothing here knows about networks, names, records or monitors.
"""
