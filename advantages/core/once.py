"""What is derived once, and kept with what it was derived from."""

from collections.abc import Callable
from typing import Any

__all__ = ["once"]


def once(make: Callable[[Any], Any]) -> Any:
    """A property that is made when it is first asked for, and kept in the object's dict `made`.

    functools' own takes a lock, through which no compiler of torch can see.
    """

    def get(self: Any) -> Any:
        if make.__name__ not in self.made:
            self.made[make.__name__] = make(self)
        return self.made[make.__name__]

    return property(get, doc=make.__doc__)
