"""Trees of tensors: nested tuples, lists and dicts, as functions take and return them."""

from collections.abc import Callable, Sequence


def flatten(tree) -> list:
    """Return the tensors of nested tuples, lists and dicts, in order."""
    if hasattr(tree, "_array"):
        return [tree]
    if isinstance(tree, dict):
        return [t for key in tree for t in flatten(tree[key])]
    if isinstance(tree, tuple | list):
        return [t for part in tree for t in flatten(part)]
    return []


def map_tensors(function: Callable, tree):
    """Return a tree like `tree` with `function` of each tensor."""
    if hasattr(tree, "_array"):
        return function(tree)
    if isinstance(tree, dict):
        return type(tree)((key, map_tensors(function, value)) for key, value in tree.items())
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*[map_tensors(function, part) for part in tree])
    if isinstance(tree, tuple | list):
        return type(tree)(map_tensors(function, part) for part in tree)
    return tree


def like(tree, values: Sequence):
    """Return a tree like `tree` with `values` in the place of its tensors."""
    remaining = iter(values)
    return map_tensors(lambda _: next(remaining), tree)
