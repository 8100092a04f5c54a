"""A real SMTP server on loopback that asks for a name and a password, and keeps the mails it takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from servers.debian import free_port

USER, PASSWORD = "penstock", "s3cret-of-the-mail"


class MailServer:
    """What came by mail.

    Attributes:
        mails: The mails, oldest first.
        refusing: Whether mails are refused for now.
        port: Where it listens on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self.mails: list[EmailMessage] = []
        self.refusing = False
        self.port = port

    @property
    def url(self) -> str:
        """The channel's URL, with its password."""
        return (
            f"mailto://{USER}:{PASSWORD}@127.0.0.1:{self.port}/"
            "?from=penstock@example.com&to=ops@example.com&mode=insecure"
        )

    def texts(self) -> list[str]:
        """Return the bodies of the mails."""
        found = []
        for mail in self.mails:
            part = mail.get_body(("plain", "html"))
            assert part is not None
            found.append(part.get_content())
        return found

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802
        if not session.authenticated:
            return "530 who are you"
        if self.refusing:
            return "451 try again later"
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 taken"


@contextmanager
def running() -> Iterator[MailServer]:
    """Run a server as long as the context lasts."""
    taking = MailServer(free_port())

    def known(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=right)

    controller = Controller(taking, hostname="127.0.0.1", port=taking.port, authenticator=known, auth_require_tls=False)
    controller.start()
    try:
        yield taking
    finally:
        controller.stop()
