"""The only importers of heavy optional packages; each adapter is loaded when a user names it."""
