"""How many different values there are: HyperLogLog (Flajolet, Fusy, Gandouet and Meunier, 2007)."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping

from penstock.values import dataclass

BITS = 10
BUCKETS = 1 << BITS
"""Registers of a sketch; the standard error is 1.04 / sqrt(BUCKETS), 3.25 %."""
HASH_BITS = 64 - BITS
RANKS = 64
"""Bits of a register in a bitmap: one for each rank from 0 on."""
_ALPHA = 0.7213 / (1 + 1.079 / BUCKETS)


@dataclass(frozen=True, slots=True)
class DistinctSketch:
    """A HyperLogLog of 1,024 registers.

    Attributes:
        registers: One byte a bucket: the greatest rank of a hash in it, 0 for none.
        hash_name: Which hash function was used; only sketches of the same one can be merged.
    """

    registers: bytes
    hash_name: str

    @classmethod
    def of_minima(cls, minima: Mapping[int, int], hash_name: str) -> DistinctSketch:
        """Return a sketch from the least hash in each bucket.

        Args:
            minima: Bucket (the lowest 10 bits of a hash) to the least of the other 54 bits in it.
            hash_name: The hash function.
        """
        registers = bytearray(BUCKETS)
        for bucket, least in minima.items():
            # The greatest rank belongs to the least hash: the most zeros before its first one.
            registers[bucket] = HASH_BITS - least.bit_length() + 1
        return cls(bytes(registers), hash_name)

    @classmethod
    def of_bits(cls, bits: str, hash_name: str) -> DistinctSketch:
        """Return a sketch from a bitmap of what ranks each bucket has.

        Args:
            bits: A 0 or 1 for each bucket and rank, ``RANKS`` to a bucket.
            hash_name: The hash function.
        """
        starts = range(0, BUCKETS * RANKS, RANKS)
        return cls(bytes(max(0, bits.rfind("1", start, start + RANKS) - start) for start in starts), hash_name)

    def merge(self, other: DistinctSketch) -> DistinctSketch | None:
        """Return the sketch of both sets of values, or None where their hash functions differ."""
        if self.hash_name != other.hash_name:
            return None
        return DistinctSketch(bytes(map(max, self.registers, other.registers)), self.hash_name)

    def estimate(self) -> int:
        """Return about how many different values there are; few ones are counted by the empty registers."""
        raw: float = _ALPHA * BUCKETS * BUCKETS / sum(math.ldexp(1.0, -rank) for rank in self.registers)
        empty = self.registers.count(0)
        if raw <= 2.5 * BUCKETS and empty:
            return round(BUCKETS * math.log(BUCKETS / empty))
        return round(raw)

    def plain(self) -> dict[str, str]:
        """Return it as JSON."""
        return {"hash": self.hash_name, "registers": base64.b64encode(self.registers).decode()}

    @classmethod
    def read(cls, plain: Mapping[str, str]) -> DistinctSketch:
        """Return it from JSON."""
        return cls(base64.b64decode(plain["registers"]), plain["hash"])
