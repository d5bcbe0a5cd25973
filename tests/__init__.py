"""The Python test suite; it runs against real servers (`python -m tests.servers` gets them)."""
