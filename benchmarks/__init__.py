"""How fast it is, each figure as a ratio to a floor that does the same with bare tools in the same run.

``python -m benchmarks`` prints one table; ``--only commit,tail`` runs some, ``--json PATH`` keeps all figures.
"""
