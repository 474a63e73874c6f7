"""imgpkg and kbld beside ours: command lines that both run on equal scenes, and what counts of what comes of them.

`scene` is where a command line runs, `outcome` what is observed of it, `*_cases` what there
is to run. `record` lets the real programs run all, and stores what they did in
`recordings`; `compare` tells where ours differs from that.
"""
