"""The client of Pub/Sub, as far as it is needed: pulls, deadlines and acknowledgements, and errors as sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from penstock.errors import ConfigurationError, MissingExtraError, TransientError

if TYPE_CHECKING:
    from penstock.model.specs import ConnectionSpec

LEASE = 600
"""Seconds for which a message is ours, until it is acknowledged; the service gives no more."""
_PATIENCE = 15.0
"""Seconds that are waited for an answer."""
_TOGETHER = 1_000
"""Messages of one request."""


class Client:
    """Requests about one subscription.

    Args:
        connection: ``pubsub://project``; ``credentials_file``, or what the machine has of its own; ``endpoint``, where
            it is not that of Google and speaks without TLS, as an emulator.
        subscription: Its name, without the project.
    """

    def __init__(self, connection: ConnectionSpec, subscription: str) -> None:
        try:
            import google.pubsub_v1  # noqa: F401
        except ImportError:
            raise MissingExtraError("Reading from Pub/Sub", "pubsub") from None
        self._connection = connection
        self._name = connection.name
        self._subscription = subscription
        self._path = f"projects/{_project(connection)}/subscriptions/{subscription}"
        self._client: Any = None

    def connect(self) -> None:
        """Make a connection; nothing is asked yet.

        Raises:
            ConfigurationError: There are no credentials, or they cannot be read.
        """
        import grpc
        from google.auth.exceptions import GoogleAuthError
        from google.oauth2 import service_account
        from google.pubsub_v1 import SubscriberClient
        from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

        self.close()
        given = self._connection.options
        try:
            if "endpoint" in given:
                channel = grpc.insecure_channel(given["endpoint"], options=[("grpc.max_receive_message_length", -1)])
                self._client = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
            elif "credentials_file" in given:
                credentials: Any = service_account.Credentials
                found = credentials.from_service_account_file(given["credentials_file"])
                self._client = SubscriberClient(credentials=found)
            else:
                self._client = SubscriberClient()
        except (GoogleAuthError, OSError, ValueError) as error:
            raise ConfigurationError(
                f"Connection {self._name!r} has no credentials of Google that can be read",
                value=type(error).__name__,
                remedy='Give it credentials_file = "key.json", or give the machine an account',
            ) from None

    def pull(self, most: int, wait: float) -> Sequence[Any]:
        """Return messages that came, ``most`` at most; wait ``wait`` seconds where there are none.

        Raises:
            ConfigurationError: There is no such subscription; we are not let in.
            TransientError: The service cannot be reached.
        """
        from google.api_core.exceptions import DeadlineExceeded

        asked = {"subscription": self._path, "max_messages": min(most, _TOGETHER)}
        try:
            answer = self._ask("pull", request=asked, timeout=wait)
        except DeadlineExceeded:
            return []
        found: Sequence[Any] = answer.received_messages
        return found

    def acknowledge(self, ids: Sequence[str]) -> None:
        """Acknowledge messages."""
        self._together(ids, lambda some: self._ask("acknowledge", subscription=self._path, ack_ids=some))

    def lease(self, ids: Sequence[str], seconds: int) -> None:
        """Have messages be ours for some time; for none: they are given to whoever asks."""
        self._together(
            ids,
            lambda some: self._ask(
                "modify_ack_deadline", subscription=self._path, ack_ids=some, ack_deadline_seconds=seconds
            ),
        )

    def close(self) -> None:
        """Leave."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(ValueError):
                client.transport.close()

    def _together(self, ids: Sequence[str], ask: Callable[[list[str]], Any]) -> None:
        from google.api_core.exceptions import DeadlineExceeded

        try:
            for first in range(0, len(ids), _TOGETHER):
                ask(list(ids[first : first + _TOGETHER]))
        except DeadlineExceeded as error:
            raise self._away(error) from None

    def _ask(self, operation: str, *, timeout: float = _PATIENCE, **given: Any) -> Any:
        from google.api_core.exceptions import DeadlineExceeded, GoogleAPIError
        from google.auth.exceptions import GoogleAuthError

        if self._client is None:
            raise TransientError(f"The Pub/Sub of connection {self._name!r} cannot be reached: not connected")
        try:
            return getattr(self._client, operation)(retry=None, timeout=timeout, **given)
        except DeadlineExceeded:
            raise
        except (GoogleAPIError, GoogleAuthError) as error:
            self._refuse(error)

    def _refuse(self, error: Exception) -> NoReturn:
        from google.api_core.exceptions import Forbidden, InvalidArgument, NotFound, Unauthenticated
        from google.auth.exceptions import GoogleAuthError

        if isinstance(error, NotFound):
            raise ConfigurationError(
                f"There is no subscription {self._subscription!r} in the Pub/Sub of connection {self._name!r}",
                remedy="Make it, or name one that is there: gcloud pubsub subscriptions list",
            ) from None
        if isinstance(error, Forbidden | Unauthenticated | GoogleAuthError):
            raise ConfigurationError(
                f"The Pub/Sub of connection {self._name!r} does not let us read {self._subscription!r}",
                remedy="Its account needs the role Pub/Sub Subscriber",
            ) from None
        if isinstance(error, InvalidArgument):
            raise ConfigurationError(
                f"{self._subscription!r} is no subscription that could be read (connection {self._name!r}): {error}"
            ) from None
        raise self._away(error) from None

    def _away(self, error: Exception) -> TransientError:
        said = getattr(error, "message", None) or str(error)
        return TransientError(f"The Pub/Sub of connection {self._name!r} cannot be reached: {said}")


def _project(connection: ConnectionSpec) -> str:
    scheme, _, project = connection.url.partition("://")
    if scheme != "pubsub" or not project.strip("/"):
        raise ConfigurationError(
            f"Connection {connection.name!r} names no project of Pub/Sub",
            value=connection.url,
            valid="pubsub://my-project",
        )
    return project.strip("/")
