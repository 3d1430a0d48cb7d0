"""A torture of the engine: writers that are killed and stalled, live checkers, and an oracle that replays it all.

``python -m tests.torture --kills 300 --seed 1`` or ``--seconds 25``, with ``--catalog postgres`` on a server of its own,
whose sessions are ended and which is crashed as well; exits with 1 when anything was violated.
"""
