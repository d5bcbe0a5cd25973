"""How ours reads under conditions that a speed does not show, each on servers of its own.

`python -m benches.conditions` measures all of them, or those that it is given by name.
"""
