"""The local page of `lexport ui`: the runs, archives and load tests of a folder, to look at and to try."""
