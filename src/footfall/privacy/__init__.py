"""What people may demand of their own data: to have it, and to have it gone.

``erasing``    an erasure's steps, in order, each of which may be repeated
``progress``   what an erasure that is not done remembers, so that a killed one goes on
``audit``      what remains of one that is done: counts, and keyed hashes instead of ids

Whose rows are whose, how rows leave the lake, and what it has of a person, is the lake's matter
(`lake.persons`, `lake.erasure`, `lake.dossier`).
"""
