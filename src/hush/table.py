"""Tables of objects by name: those of hush, and those that installed packages add."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from hush.errors import HushError

T = TypeVar("T")


class Table(Mapping[str, T]):
    """Objects by name, imported when they are looked up.

    own : name → ``module:attribute``, in the order of listings.
    group : of the entry points through which other packages add objects. They cannot replace
        names of hush.
    """

    def __init__(self, group: str, own: Mapping[str, str]) -> None:
        self.group = group
        self._own = own

    @cached_property
    def _added(self) -> dict[str, EntryPoint]:
        found = sorted(_points().select(group=self.group), key=lambda point: point.name)
        return {point.name: point for point in found if point.name not in self._own}

    def __getitem__(self, name: str) -> T:
        if name in self._own:
            module, _, attribute = self._own[name].partition(":")
            value: T = getattr(import_module(module), attribute)
            return value
        point = self._added[name]
        try:
            added: T = point.load()
        except Exception as error:  # importing a package can raise any class
            package = point.dist.name if point.dist else point.value
            raise HushError(
                f"{name} of the package {package} cannot be loaded "
                f"({type(error).__name__}: {error}); update or uninstall the package"
            ) from error
        return added

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self._added

    def __iter__(self) -> Iterator[str]:
        yield from self._own
        yield from self._added

    def __len__(self) -> int:
        return len(self._own) + len(self._added)


@cache
def _points() -> Any:
    """The entry points of all installed packages, whose descriptions are read once."""
    return entry_points()
