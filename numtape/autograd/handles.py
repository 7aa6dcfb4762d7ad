"""What registering hooks returns: handles that take them away again."""

from __future__ import annotations


class Handle:
    """What registering a hook returns; `remove()` takes the hook away."""

    _count = 0

    def __init__(self, hooks: dict, hook):
        Handle._count += 1
        self.hooks, self.id = hooks, Handle._count
        hooks[self.id] = hook

    def remove(self) -> None:
        self.hooks.pop(self.id, None)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.remove()


class Both:
    """Several handles as one."""

    def __init__(self, *handles):
        self.handles = handles

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.remove()
