"""The lake: every event in SQL, loaded from the journal exactly once.

`tables` says what there is, `lake` opens it, `loader` follows the journal into it, `maintenance`
keeps it small and in order, `query` answers SQL that users write, `backup` carries it away.
Nothing here takes requests, and nothing here is needed to acknowledge one.
"""
