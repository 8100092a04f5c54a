"""What a feed has sent, read as a stream: positions are bytes of segments, so it is read again as any other."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.extract.streams.gaps import declared
from penstock.extract.streams.intake import records
from penstock.extract.streams.intake.feed import Feed
from penstock.extract.streams.intake.pump import Pump, lost
from penstock.extract.streams.lines import polled
from penstock.extract.streams.port import Opening, Polled
from penstock.extract.streams.webhooks import segments
from penstock.extract.streams.webhooks.settings import folder_of, remembered
from penstock.extract.streams.webhooks.source import PARTITION, Events, Form
from penstock.model.streams import Gap, Positions

_PAUSE = 0.02
_PATIENCE = 5.0


class IntakeReader:
    """One reading of a feed.

    Args:
        opening: Where it begins, with ``folder`` (``inbox/{table}``) of its options and ``remember`` of its connection.
        feed: The far end.

    Raises:
        DataError: The folder is gone, with what the far end was told is safe.
    """

    def __init__(self, opening: Opening, feed: Feed) -> None:
        self._feed = feed
        self._topic = feed.topic
        self._folder = folder_of(opening.root, opening.source)
        known = opening.positions.get(self._topic, {}).get(PARTITION)
        self._opening = opening
        self._gaps = self._without(known)
        self._told = False
        kept = remembered(opening.endpoint)
        self._pump = Pump(feed, self._folder, kept, known or 0)
        self._pump.start()
        form = Form(self._topic, feed.envelope, records.parsed)
        self._events = Events(opening, self._folder, kept, form)

    @property
    def envelope(self) -> Mapping[str, str]:
        """As the feed has it."""
        return self._feed.envelope

    def poll(self, most: int, wait: float) -> Polled:
        """Return messages that came."""
        gaps, self._gaps = (*self._gaps, *self._lost()), ()
        if gaps:
            return Polled(gaps=gaps)
        return polled(lambda: self._look(most), wait, _PAUSE)

    def ends(self) -> Positions:
        """Return the offset after the last message that came, once all have that can."""
        self._pump.drain(_PATIENCE)
        return self._events.ends()

    def reached(self, positions: Positions) -> bool:
        """Say whether the far end was found empty once, and all that had come until then lies before positions."""
        drained = self._pump.drained
        return drained is not None and self._events.at(positions) >= drained

    def behind(self, positions: Positions) -> int | None:  # noqa: ARG002 - as it is called
        """Return nothing: what is at the far end it alone knows."""
        return None

    def acknowledge(self, positions: Positions) -> None:
        """Have the far end told what is safe, and remove segments that nobody needs."""
        if self._told:
            self._told = False
            lost(self._folder).unlink(missing_ok=True)
        self._pump.committed(self._events.at(positions))
        self._events.acknowledge(positions)

    def close(self) -> None:
        """Leave the far end."""
        self._pump.close(self._events.at({}))

    def _look(self, most: int) -> Polled:
        found = self._events.look(most)
        if not found:
            self._pump.look()
        return found

    def _lost(self) -> tuple[Gap, ...]:
        """Return, once, that the far end has lost what came while we were away."""
        place = lost(self._folder)
        if self._told or not place.exists():
            return ()
        gap = self._gap(self._events.at({}), place.read_text())
        self._told = True
        return (gap,)

    def _without(self, known: int | None) -> tuple[Gap, ...]:
        """Return that the folder is gone, where the far end no longer has what was in it."""
        if self._feed.keeps or known is None or segments.listed(self._folder):
            return ()
        return (self._gap(known, f"the folder {self._folder.name} is gone, with what had come and had not landed"),)

    def _gap(self, at: int, reason: str) -> Gap:
        stream = self._opening.source.stream
        assert stream is not None
        gap = Gap(topic=self._topic, partition=PARTITION, wanted=at, found=at, reason=reason)
        return declared(gap, stream.on_gap, self._opening.source.table)
