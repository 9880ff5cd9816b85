"""One module per engine; each implements `footfall.journal.contract.Journal`."""
