"""Far ends without positions get them here: what they send is written to segments on the disk, and read from there.

A feed speaks to a far end; a pump, a thread of its own, writes what the feed receives, once per id, and tells the far
end what is safe; a reader of the stream port reads the segments. How a far end is spoken to is its feed's alone.
"""
