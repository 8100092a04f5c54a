"""The configuration of a project: files, environment and secrets made into specs. Opens no place and asks no source."""

from penstock.config.connections import connection_from_url as connection_from_url
from penstock.config.pipelines import choose_pipeline as choose_pipeline
from penstock.config.pipelines import load_pipelines as load_pipelines
from penstock.config.project import ProjectConfig as ProjectConfig
from penstock.config.project import find_project as find_project
from penstock.config.project import load_project as load_project
