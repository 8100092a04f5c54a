"""The story that is killed: a few days of a shop, driven through ``penstock.project.Project``.

    python story.py PROJECT [CHAPTER]

Each chapter can be started again at any time, as an operator or a script would do it: it first asks how things stand.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

OPERATOR = "ada"


def backfill(project, shop):
    shop.reach(3)
    return project.backfill("shop", days("2026-01-01/2026-01-04"))


def first_release(project, shop):
    release(project, 1)


def bad_day(project, shop):
    """A day is rejected; its source is mended, and just that load is read again."""
    shop.reach(4)
    if not waiting(project):
        project.run("shop", days("2026-01-04"))
    if waiting(project):
        shop.mend()
        project.retry("shop")
    project.run("shop", days("2026-01-04"))


def second_release(project, shop):
    release(project, 2)


def new_prices(project, shop):
    """The prices change, so that every day is made anew."""
    shop.reach(5)
    return project.run("shop", days("2026-01-01/2026-01-06"))


def third_release(project, shop):
    release(project, 3)


def rollback(project, shop):
    if len(project.releases()) < 4:
        project.rollback(reason="the prices were wrong")


def small_files(project, shop):
    """The day's files are written together, before the day is over."""
    project.compact(open_too=True)


def vacuum(project, shop):
    """What the compaction and the releases have left over is deleted at once."""
    project.vacuum("0s")


def another_day(project, shop):
    shop.reach(6)
    return project.run("shop", days("2026-01-06"))


def last_release(project, shop):
    release(project, 5)


def training_set(project, shop):
    project.build_dataset("spending")


def parcels(project, shop):
    """Nested records become parent and child tables; a line that is no row is kept beside them."""
    shop.deliver(1)
    return project.run("yard")


def other_parcels(project, shop):
    """A column widens, so that the files of the raw zone are written anew; nested values get a new member."""
    shop.deliver(2)
    return project.run("yard")


def mended_parcels(project, shop):
    """Rows that were set aside come in again as a load of their own, with their children."""
    if any(each.open for each in project.quarantine.summaries("parcels") if "weight" in "".join(each.reasons)):
        return project.quarantine.replay("parcels", sets=["weight = 9.5"])
    return project.run("yard")


CHAPTERS = (
    backfill,
    first_release,
    bad_day,
    second_release,
    new_prices,
    third_release,
    rollback,
    small_files,
    vacuum,
    another_day,
    last_release,
    training_set,
    parcels,
    other_parcels,
    mended_parcels,
)


def days(text):
    """Return an interval."""
    from penstock.model.interval import Interval

    return Interval.parse(text)


def release(project, number):
    """Promote what there is as the release of this number, unless it was."""
    if len(project.releases()) >= number:
        return
    candidate = project.diff("shop")
    project.approve(candidate.id, "it is right")
    project.promote(candidate.id)


def waiting(project):
    """Say whether a load waits for a verdict."""
    return any(table.rejected for pipeline in project.status().pipelines for table in pipeline.tables)


def tell(folder, chapters=CHAPTERS):
    """Tell chapters of the story, or what is left of them."""
    os.environ["PENSTOCK_USER"] = OPERATOR
    os.chdir(folder)
    sys.path.insert(0, folder)
    import shop_data

    from penstock.project import Project

    with Project(folder) as project:
        for chapter in chapters:
            ended = chapter(project, shop_data)
            if ended is not None:
                print("ended", ended.state.value, ended.error)


if __name__ == "__main__":
    named = [chapter for chapter in CHAPTERS if chapter.__name__ in sys.argv[2:]]
    tell(str(Path(sys.argv[1]).resolve()), named or CHAPTERS)
