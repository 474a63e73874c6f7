"""Plans: what a run would do, found out by a run that changes nothing."""
