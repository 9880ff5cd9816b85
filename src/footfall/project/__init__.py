"""Folds: what the journal's events come to while they come in.

Pure at their boundary: records in, rows and closings out; whoever runs them does the reading and
writing. Not the lake's SQL, which looks at what was stored.
"""
