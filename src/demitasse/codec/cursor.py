"""Reading the container's small numbers: varints, with every limit checked before it is believed."""

from __future__ import annotations

from demitasse.errors import ContainerError

__all__ = ["Cursor"]


class Cursor:
    """A position in bytes that come from a file; every read checks that there is enough left."""

    __slots__ = ("data", "position", "what")

    def __init__(self, data: bytes, what: str) -> None:
        self.data = data
        self.position = 0
        self.what = what

    @property
    def left(self) -> int:
        """Bytes not yet read."""
        return len(self.data) - self.position

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes. ContainerError if there are fewer."""
        if count > self.left:
            raise ContainerError(f"{self.what} is cut: {count} bytes expected, {self.left} left")
        self.position += count
        return self.data[self.position - count : self.position]

    def varint(self, limit: int, name: str) -> int:
        """The next number. ContainerError, naming it, if it is above ``limit`` or not in its shortest form."""
        value = 0
        for shift in range(0, 70, 7):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if byte == 0 and shift:
                    break
                if value > limit:
                    raise ContainerError(f"{self.what}: {name} is {value}, the limit is {limit}")
                return value
        raise ContainerError(f"{self.what}: {name} is not a well-formed number")

    def end(self) -> None:
        """ContainerError unless everything was read."""
        if self.left:
            raise ContainerError(f"{self.what} has {self.left} bytes too many")
