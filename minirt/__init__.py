"""minirt: a minimal container runtime with built-in networking.

Imports only go downwards:

    cli -> commands -> {container, explain} -> {runtime, network, images} -> kernel

Start reading at ``docs/tour.md``, or at ``commands/run.py``.
"""

__version__ = "0.1.0"
