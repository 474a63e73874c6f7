"""The commands of `bundlepipe ci` that doit runs."""
