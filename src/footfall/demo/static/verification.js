// Stands where a measurement vendor's script would: the demo's VAST names it, and nothing runs it.
