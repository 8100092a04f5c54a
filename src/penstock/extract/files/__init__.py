"""Files: which there are, where they lie, what they are packed in, and how each format is read."""
