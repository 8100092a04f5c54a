"""The facade: open a project, then ask, plan, run, promote; every face (command line, web, Python) goes through it.

A method hands over to ``orchestrate``; nothing is decided here.
"""

from penstock.project.facade import Project as Project
from penstock.project.live import connect as connect
from penstock.project.single import ingest as ingest
