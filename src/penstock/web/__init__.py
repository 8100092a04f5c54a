"""Faces over HTTP. What is asked and answered is put into words and statuses here; nothing is decided."""
