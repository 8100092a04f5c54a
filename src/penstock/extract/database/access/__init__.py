"""Files of Microsoft Access, read page by page."""
