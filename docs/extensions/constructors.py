# ruff: noqa: INP001 - It is loaded by its path.
"""Shows what a class of the core takes: its stub says `__new__`, and griffe looks for `__init__`."""

from typing import Any

import griffe


class Constructors(griffe.Extension):
    """Gives classes whose constructor is `__new__` an `__init__` with the same parameters."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Look at a class when all its members are known."""
        new = cls.members.get("__new__")
        if not isinstance(new, griffe.Function) or "__init__" in cls.members:
            return
        init = griffe.Function("__init__", parameters=new.parameters, returns="None")
        cls.set_member("__init__", init)
