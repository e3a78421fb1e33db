"""The command line: verbs only. Everything they do can be called from Python."""
