"""Feeds of the web: Server-Sent Events, which go on behind the last one, and WebSockets, which have no position."""
