"""Footfall: one self-hosted server for session and event tracking.

A request's life reads off the tree: ``collect`` takes it in (decode, enrich), ``journal`` makes
it durable and orders it, ``lake`` makes it rows that answer SQL. ``stream`` splices ads into
video and records what it did likewise. ``model`` is the one vocabulary; ``settings`` and
``errors`` are what an operator meets; ``app`` joins the parts, ``supervisor`` runs them as
processes, and ``cli`` is thin commands over both.

The import table and the reasons stand in ``docs/architecture.md``; a test holds us to them.
"""

__version__ = "0.1.0"
