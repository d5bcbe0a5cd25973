"""The stub, where the docstrings live, says what the compiled module has, and all of it."""

import ast
import inspect
from pathlib import Path
from typing import Any

import lakeflow_redis
import pytest
from lakeflow_redis import _core

STUB = ast.parse((Path(lakeflow_redis.__file__).parent / "_core.pyi").read_text())


def only_for_types(node: ast.ClassDef) -> bool:
    """Whether a class is a TypedDict, which has no counterpart in the module."""
    return any(isinstance(base, ast.Name) and base.id == "TypedDict" for base in node.bases)


def methods(node: ast.ClassDef) -> dict[str, ast.FunctionDef]:
    """The methods and properties that the stub gives a class."""
    return {each.name: each for each in node.body if isinstance(each, ast.FunctionDef)}


CLASSES = {
    node.name: node
    for node in STUB.body
    if isinstance(node, ast.ClassDef) and not only_for_types(node)
}
FUNCTIONS = {node.name: node for node in STUB.body if isinstance(node, ast.FunctionDef)}
PUBLIC = [
    (name, method)
    for name, node in CLASSES.items()
    for method in methods(node)
    if not method.startswith("_")
]
"""All others are Python's, and so are their signatures."""

IMPLICIT = {"__repr__", "__reduce__", "__new__", "__doc__", "__module__", "__ne__", "__hash__"}
"""What any class may have without the stub saying so."""


def public(names: list[str]) -> set[str]:
    """Names that are not private."""
    return {name for name in names if not name.startswith("_")}


def test_the_stub_names_what_the_module_has() -> None:
    assert public(dir(_core)) == CLASSES.keys() | FUNCTIONS.keys()
    assert isinstance(_core.__version__, str)


@pytest.mark.parametrize("name", CLASSES)
def test_the_stub_names_what_a_class_has(name: str) -> None:
    stated = methods(CLASSES[name]).keys() - {"__init__"}
    found = vars(getattr(_core, name)).keys() - IMPLICIT
    # Python fills in the other comparisons beside `__eq__`.
    comparisons = {"__lt__", "__le__", "__gt__", "__ge__"}
    assert found - comparisons == stated - IMPLICIT


def parameters(node: ast.FunctionDef) -> list[tuple[str, Any]]:
    """The parameters that the stub gives a function, each with its default."""
    names = [argument.arg for argument in node.args.args if argument.arg != "self"]
    defaults = [ast.literal_eval(default) for default in node.args.defaults]
    missing = [inspect.Parameter.empty] * (len(names) - len(defaults))
    positional = list(zip(names, missing + defaults, strict=True))
    named = [
        (argument.arg, inspect.Parameter.empty if default is None else ast.literal_eval(default))
        for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    ]
    return positional + named


def actual_parameters(function: Any) -> list[tuple[str, Any]]:
    """The parameters that a compiled function has, each with its default."""
    found = inspect.signature(function).parameters.values()
    return [(each.name, each.default) for each in found if each.name != "self"]


def is_property(node: ast.FunctionDef) -> bool:
    """Whether the stub says that this is read and not called."""
    return any(isinstance(each, ast.Name) and each.id == "property" for each in node.decorator_list)


@pytest.mark.parametrize(("owner", "method"), PUBLIC)
def test_the_stub_has_the_parameters_of_each_method(owner: str, method: str) -> None:
    stated = methods(CLASSES[owner])[method]
    found = getattr(getattr(_core, owner), method)
    assert callable(found) != is_property(stated)
    if callable(found):
        assert actual_parameters(found) == parameters(stated)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_stub_has_the_parameters_of_each_function(name: str) -> None:
    assert actual_parameters(getattr(_core, name)) == parameters(FUNCTIONS[name])


@pytest.mark.parametrize(("owner", "method"), PUBLIC)
def test_every_public_method_has_a_docstring_in_the_stub(owner: str, method: str) -> None:
    assert ast.get_docstring(methods(CLASSES[owner])[method])


def test_the_package_exports_what_it_says() -> None:
    assert sorted(lakeflow_redis.__all__) == lakeflow_redis.__all__
    assert all(hasattr(lakeflow_redis, name) for name in lakeflow_redis.__all__)


def test_every_error_derives_from_one() -> None:
    errors = [
        value
        for value in vars(lakeflow_redis.exceptions).values()
        if isinstance(value, type) and issubclass(value, Exception)
    ]
    warnings = [error for error in errors if issubclass(error, Warning)]
    assert warnings == [lakeflow_redis.LakeflowRedisWarning]
    others = [error for error in errors if error not in warnings]
    assert all(issubclass(error, lakeflow_redis.LakeflowRedisError) for error in others)
    assert {error.__name__ for error in errors} <= set(lakeflow_redis.__all__)
