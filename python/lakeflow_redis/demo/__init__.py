"""A tour on sample data that needs nothing but itself: `python -m lakeflow_redis.demo`.

It is part of the package, so that it shows the installed command and not a checkout's:
`pip install 'lakeflow-redis[demo]'` is all it takes. `server` starts a server of its own,
`sample` fills it, `__main__` (which `make demo` runs) lands it and looks at what landed. With
`--serve` only the server is started, for the documentation's tutorial or one's own tries.
"""
