"""What is read from RabbitMQ: a queue, or a stream."""

from __future__ import annotations

from penstock.extract.streams.port import Opening, Reader
from penstock.extract.streams.rabbitmq import offsets, queues


class RabbitSource:
    """Reads the ``queue`` or the ``stream`` that the options name."""

    def open(self, opening: Opening) -> Reader:
        """Begin to read."""
        return offsets.opened(opening) if "stream" in opening.source.options else queues.opened(opening)
