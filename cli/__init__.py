"""The command line: it parses, calls the library, and prints. No algorithm lives here."""

OWNER = "ceret"  # tells this package from others of its name (`ce_retrieval.installation`)
