"""Files for a new pipeline, generated from what a directory contains (`bundlepipe init`)."""
