"""The configuration of a project: files, environment and secrets made into specs. Opens no place and asks no source."""
