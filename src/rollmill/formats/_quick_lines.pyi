from collections.abc import Callable
from typing import Any

class Lines:
    """``root``: the number of a line's node; ``nodes`` and ``structs`` as ``_typed_lines.plan_of`` makes them."""

    def __new__(
        cls,
        root: int,
        nodes: tuple[Any, ...],
        structs: tuple[Any, ...],
        raw: type[Any],
        fallback: Callable[[bytes], Any],
        /,
    ) -> Lines: ...
    def decode(self, data: bytes, size: int, first: int, /) -> list[Any]: ...
