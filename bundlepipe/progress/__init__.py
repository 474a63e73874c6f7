"""Display the progress of transfers."""
