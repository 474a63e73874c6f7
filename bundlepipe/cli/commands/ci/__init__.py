"""The commands `ci`: the graph of jobs, the files of engines, and whether these are current."""
