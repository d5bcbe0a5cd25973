"""The benchmark: ours beside what else one would write, against one server, in one go.

`python -m benches` starts a Redis of its own, fills it (`data`), lets each contestant
(`contestants`) read each table in a fresh process (`child`), by turns (`measure`), and
prints one table (`report`), with the targets met or missed (`targets`). `conditions` looks
at what a speed does not show, and `decoder.rs` at the decoder alone. Each writes its part
of RESULTS.md (`results`), and leaves the others as they are.
"""
