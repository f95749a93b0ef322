"""The report of an experiment as one page of HTML that needs nothing beside it, and no network."""
