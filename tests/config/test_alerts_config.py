"""The section [alerts]: what is taken, and that no secret may stand in the file."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from penstock.config.project import load_project
from penstock.errors import ConfigurationError
from penstock.model.alerts import AlertKind, AlertsSpec, Urgency

VARIABLES = {"SECRET": "s3cr3t", "CHAT": "slack://T1/T2/T3"}


def read(folder: Path, text: str) -> AlertsSpec:
    (folder / "penstock.toml").write_text('[project]\nname = "shop"\n' + text)
    return load_project(folder, VARIABLES).alerts


def test_all_that_can_be_said(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        """
[alerts]
repeat = "12h"
quarantine = 0.02
wait = 2
learn = false
[alerts.channels.chat]
url = "${CHAT}"
kinds = ["failed", "silent"]
urgency = "error"
pipelines = ["shop"]
owners = ["ada"]
[alerts.channels.mail]
url = "mailtos://penstock:${SECRET}@mail.example.com?to=ops@example.com&from=p@example.com"
[alerts.channels.hook]
webhook = "https://example.com/hooks/penstock?key=${SECRET}"
token = "${SECRET}"
[alerts.channels.shelf]
folder = "told"
""",
    )
    chat, mail, hook, shelf = found.channels
    assert (found.repeat, found.quarantine, found.wait, found.learn) == (timedelta(hours=12), 0.02, 2, False)
    assert (chat.url, chat.kinds, chat.urgency) == (
        "slack://T1/T2/T3",
        (AlertKind.FAILED, AlertKind.SILENT),
        Urgency.ERROR,
    )
    assert mail.url.startswith("mailtos://penstock:s3cr3t@")
    assert (hook.token, hook.webhook.endswith("key=s3cr3t")) == ("s3cr3t", True)
    assert shelf.folder == str(tmp_path / "told")
    assert "s3cr3t" not in repr(found)
    assert "T1" not in repr(found)


def test_nothing_said_is_nobody_told(tmp_path: Path) -> None:
    assert read(tmp_path, "") == AlertsSpec()
    assert read(tmp_path, '[alerts]\nrepeat = "never"\n').repeat is None


@pytest.mark.parametrize(
    "channel",
    [
        'url = "slack://T0123/B0123/abcdefghijkl"',
        'url = "slack://T0123/${SECRET}"',
        'url = "mailto://user:hunter2@mail.example.com"',
        'url = "mailtos://mail.example.com?pass=hunter2&to=a@example.com"',
        'url = "json://example.com/4f3c2b1a0987654321fedcba"',
        'url = "tgram://123:abc/1"',
        'webhook = "https://example.com/x?token=hunter2"',
        'webhook = "https://example.com/services/T00000000/B00000000/XXXXXXXX1XXXXXXXXXXXXXXX"',
        'webhook = "https://user:hunter2@example.com/x"',
        'webhook = "https://example.com/x"\ntoken = "hunter2"',
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_shown(tmp_path: Path, channel: str) -> None:
    with pytest.raises(ConfigurationError, match=r"alerts\.channels\.c\.(url|webhook|token).*\$\{NAME\}") as error:
        read(tmp_path, f"[alerts.channels.c]\n{channel}\n")
    for secret in ("hunter2", "abcdefghijkl", "4f3c2b1a", "XXXXXXXX1", "123:abc"):
        assert secret not in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[alerts.channels.c]\n", "must say one way of telling"),
        ('[alerts.channels.c]\nfolder = "a"\nwebhook = "https://example.com"\n', "must say one way of telling"),
        ('[alerts.channels.c]\nfolder = "a"\ntoken = "${SECRET}"\n', "has a token but no webhook"),
        ('[alerts.channels.c]\nfolder = "a"\nkinds = ["silnt"]\n', "Did you mean 'silent'"),
        ('[alerts.channels.c]\nfolder = "a"\nurgency = "eror"\n', "Did you mean 'error'"),
        ('[alerts.channels.c]\nfoldr = "a"\n', "foldr"),
        ('[alerts.channels.c]\nwebhook = "ftp://example.com"\n', "no URL that can be posted to"),
        ('[alerts.channels.c]\nwebhook = "http://example.com/x"\ntoken = "${SECRET}"\n', "in the clear"),
        ('[alerts.channels.c]\nurl = "${SECRET}"\n', "no URL of apprise"),
        ('[alerts.channels."a b"]\nfolder = "a"\n', "not usable"),
        ('[alerts]\nrepeat = "1s"\n', "too short"),
        ('[alerts]\nrepeat = "soon"\n', "not a duration"),
        ("[alerts]\nquarantine = 2\n", "alerts.quarantine"),
        ("[alerts]\nrepeet = 2\n", "Did you mean 'repeat'"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        read(tmp_path, text)
    assert said in str(error.value)
    assert "s3cr3t" not in str(error.value)
