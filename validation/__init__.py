"""Validation: pure functions over columns of values and a vocabulary of what they may be.

The storey beside ``formats``: it knows neither the engine nor the registries, which hand vocabularies in. It is empty
until registries have vocabularies to hand in.
"""
