"""Checks that _native.pyi has the names and types of the module."""

import ast
import pathlib
import re

import merope
from merope import _native

STUB = ast.parse(pathlib.Path(merope.__file__).with_name("_native.pyi").read_text())


def parameters(function):
    arguments = function.args
    return [a.arg for a in arguments.posonlyargs + arguments.args], [a.arg for a in arguments.kwonlyargs]


def runtime(function):
    signature = function.__nb_signature__[0][0]
    signature = re.sub(r"\\\d+", "None", signature)  # defaults
    signature = signature.replace("def (", "def getter(")
    return ast.parse(signature + ": ...").body[0]


def same(stub, function):
    found = runtime(function)
    assert parameters(stub) == parameters(found), stub.name
    given = ast.unparse(found.returns).replace("merope._native.", "")
    assert set(given.split(" | ")) == set(ast.unparse(stub.returns).split(" | ")), stub.name


def is_setter(function):
    return any(isinstance(d, ast.Attribute) for d in function.decorator_list)


def is_static(function):
    return any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in function.decorator_list)


def test_functions_and_classes():
    names = {node.name for node in STUB.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    assert names == {name for name in vars(_native) if not name.startswith("_")}
    for node in STUB.body:
        if isinstance(node, ast.FunctionDef):
            same(node, getattr(_native, node.name))


def test_members():
    for stub in STUB.body:
        if not isinstance(stub, ast.ClassDef):
            continue
        actual = getattr(_native, stub.name)
        members = [node for node in stub.body if isinstance(node, ast.FunctionDef)]
        special = {"__init__"} if any(node.name == "__init__" for node in members) else set()
        assert {node.name for node in members} == special | {
            name for name in vars(actual) if not name.startswith("_")}, stub.name
        for node in members:
            member = vars(actual)[node.name]
            if not node.decorator_list or is_static(node):
                same(node, member)
            elif is_setter(node):
                assert member.fset is not None
            else:
                same(node, member.fget)
                has_setter = any(is_setter(other) and other.name == node.name for other in members)
                assert (member.fset is not None) == has_setter, node.name
