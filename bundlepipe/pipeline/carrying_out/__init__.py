"""Carry out saved plans (`doit plan=FILE`): each task is held against the plan when its turn comes."""
