"""What the worker processes count together: numbers in shared memory, of which each process writes only its own.

No lock is needed: a count is one cell for each worker, whoever wants the whole adds the cells up. A worker that died leaves its
cells behind, so its parent clears them, and what the dead one held is free again.
"""

import fcntl
import mmap
import os
from collections.abc import Iterable, Mapping
from typing import Final

_CELL: Final = 8  # bytes of an int64; an aligned one is written and read whole


class Memory:
    """Memory that several processes see: an anonymous file, mapped.

    Open it once in each process: the locks that others take on the file (see ratelimit.py) end when a process closes any of its
    descriptors of it.
    """

    __slots__ = ("bytes", "fd", "size")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.size = os.fstat(fd).st_size
        self.bytes = mmap.mmap(fd, self.size)

    def close(self) -> None:
        """Close the descriptor. The mapping goes when nobody looks at it any more."""
        os.close(self.fd)


def create(size: int) -> Memory:
    """Return new shared memory of so many bytes, all zero.

    Its descriptor goes to other processes by fork, or in a message (SCM_RIGHTS); it does not survive an exec.
    """
    fd = os.memfd_create("headgate", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, size)
        # Nobody may cut it short under the others' feet: they would die of SIGBUS.
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        return Memory(fd)
    except BaseException:
        os.close(fd)
        raise


class Gauge:
    """One count, as one worker sees it: it changes its own cell and reads everybody's."""

    __slots__ = ("_row", "_slot")

    def __init__(self, row: memoryview, slot: int) -> None:
        self._row = row
        self._slot = slot

    def up(self) -> None:
        """Count one more."""
        self._row[self._slot] += 1

    def down(self) -> None:
        """Count one less."""
        self._row[self._slot] -= 1

    @property
    def own(self) -> int:
        """What this worker counts."""
        value: int = self._row[self._slot]
        return value

    def total(self) -> int:
        """Return what all workers count together."""
        return sum(self._row)


class Gauges:
    """Counts by number, each with one cell a worker: [gauge][worker slot].

    Which name has which number is decided in one process, by assign(), and handed to the others.
    """

    def __init__(self, memory: Memory, workers: int, names: Mapping[str, int] | None = None) -> None:
        """Look at memory as gauges.

        Args:
            memory: made with size() for the same number of workers.
            workers: slots a gauge has.
            names: the assignment so far, for a process that takes over assigning.

        Raises:
            ValueError: the memory holds not one gauge.

        """
        self.workers = workers
        self.capacity = memory.size // (_CELL * workers)
        if not self.capacity:
            raise ValueError(f"{memory.size} bytes hold no gauge for {workers} workers")
        self._cells = memoryview(memory.bytes)[: self.capacity * workers * _CELL].cast("q")
        self._names = dict(names or {})
        self._next = max(self._names.values(), default=-1) + 1

    def resume(self, names: Mapping[str, int]) -> None:
        """Go on from an assignment that another process made, or that holds again because the one after it came to nothing."""
        self._names = dict(names)
        self._next = max(self._names.values(), default=self._next - 1) + 1

    @staticmethod
    def size(gauges: int, workers: int) -> int:
        """Return the bytes that so many gauges take."""
        return gauges * workers * _CELL

    def gauge(self, number: int, slot: int) -> Gauge:
        """Return one gauge for the worker of that slot. Make it once, use it for each request.

        Raises:
            IndexError: no such gauge, or no such slot.

        """
        if not (0 <= number < self.capacity and 0 <= slot < self.workers):
            raise IndexError(f"gauge {number} of {self.capacity}, slot {slot} of {self.workers}")
        return Gauge(self._cells[number * self.workers : (number + 1) * self.workers], slot)

    def total(self, number: int) -> int:
        """Return what all workers count together in one gauge."""
        return sum(self._cells[number * self.workers : (number + 1) * self.workers])

    def clear(self, slot: int) -> None:
        """Forget all that the worker of that slot counted. Only for a worker that is dead, and before another gets its slot."""
        self._cells[slot :: self.workers] = memoryview(bytes(self.capacity * _CELL)).cast("q")

    def assign(self, names: Iterable[str]) -> dict[str, int]:
        """Return a number for each name: the one it has already, or a free one. Names not given lose theirs.

        Free numbers are given in turn, so that one comes back as late as can be, and never while a request that began under its
        old name is still counted in it. The same calls in the same order always give the same numbers.

        Raises:
            ValueError: more names than gauges; the assignment stays as it was.

        """
        wanted = list(dict.fromkeys(names))
        kept = {name: self._names[name] for name in wanted if name in self._names}
        fresh = [name for name in wanted if name not in kept]
        numbers, after = self._free(len(fresh), set(kept.values()))
        self._next = after
        self._names = kept | dict(zip(fresh, numbers, strict=True))
        return dict(self._names)

    def _free(self, count: int, taken: set[int]) -> tuple[list[int], int]:
        """Return so many free numbers, and where to look the next time."""
        free: list[int] = []
        number = self._next
        for _ in range(self.capacity):
            if len(free) == count:
                break
            number %= self.capacity
            if number not in taken and not any(self._cells[number * self.workers : (number + 1) * self.workers]):
                free.append(number)
            number += 1
        if len(free) < count:
            raise ValueError(f"{len(taken) + count} names to count for, and only {len(taken) + len(free)} gauges for them")
        return free, number
