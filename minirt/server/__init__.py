"""One warm interpreter that forks a command for each that is typed, and its thin client.

An accelerator, nothing else: whatever happens to it, the same code runs in the client's own
process, with the same results, slower. The client imports nothing of minirt but this package.
"""
