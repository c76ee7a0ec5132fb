"""How a photo is cut."""

from typing import NamedTuple


class Crop(NamedTuple):
    """Sub-images of ``size`` pixels every ``step`` pixels; a rest of more than ``threshold`` pixels gets one more."""

    size: int
    step: int
    threshold: int

    def starts(self, length: int) -> list[int]:
        """Where sub-images start along a side of ``length`` pixels; a side of ``size`` or less is kept whole."""
        if length <= self.size:
            return [0]
        starts = list(range(0, length - self.size + 1, self.step))
        if length - (starts[-1] + self.size) > self.threshold:
            starts.append(length - self.size)
        return starts
