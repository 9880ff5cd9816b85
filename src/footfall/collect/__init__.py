"""HTTP in, events out: everything up to the reply."""
