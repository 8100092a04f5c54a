"""The client of Kinesis, as far as it is needed: shards, iterators and records, and errors as sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from penstock.errors import ConfigurationError, MissingExtraError, TransientError
from penstock.values import dataclass

if TYPE_CHECKING:
    from penstock.model.specs import ConnectionSpec

_PATIENCE = 15.0
"""Seconds that are waited for an answer."""
_DENIED = (
    "AccessDeniedException", "UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException",
    "IncompleteSignature", "MissingAuthenticationTokenException", "ExpiredTokenException", "OptInRequired",
)  # fmt: skip
_BUSY = ("ProvisionedThroughputExceededException", "LimitExceededException")


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard.

    Attributes:
        id: Its id.
        parents: The shards that it was made of.
    """

    id: str
    parents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class State:
    """A stream as it is.

    Attributes:
        created: The microsecond since 1970 at which it was made.
        kept: Seconds for which records are kept.
    """

    created: int
    kept: float


@dataclass(frozen=True, slots=True)
class Answer:
    """Records of a shard.

    Attributes:
        records: As the service has them.
        following: The iterator behind them; None: the shard was closed, and has no more.
        current: Nothing was behind them when they were read.
    """

    records: list[dict[str, Any]]
    following: str | None
    current: bool


class Client:
    """Requests about one stream.

    Args:
        connection: ``kinesis://region``; ``access_key_id`` and ``secret_access_key`` (and ``session_token``), or what
            the machine has of its own; ``endpoint``, where it is not that of AWS.
        stream: The stream.
    """

    def __init__(self, connection: ConnectionSpec, stream: str) -> None:
        try:
            from botocore.config import Config
            from botocore.session import get_session
        except ImportError:
            raise MissingExtraError("Reading from Kinesis", "kinesis") from None
        self._name = connection.name
        self._stream = stream
        given, secrets = connection.options, connection.secrets
        self._client = get_session().create_client(
            "kinesis",
            region_name=_region(connection),
            endpoint_url=given.get("endpoint"),
            aws_access_key_id=given.get("access_key_id"),
            aws_secret_access_key=secrets.get("secret_access_key"),
            aws_session_token=secrets.get("session_token"),
            config=Config(connect_timeout=_PATIENCE, read_timeout=_PATIENCE, retries={"total_max_attempts": 2}),
        )

    def state(self) -> State:
        """Return the stream's state.

        Raises:
            ConfigurationError: There is no such stream; we are not let in.
            TransientError: The service cannot be reached.
        """
        found = self._ask("describe_stream_summary", StreamName=self._stream)["StreamDescriptionSummary"]
        created = int(found["StreamCreationTimestamp"].timestamp() * 1e6)
        return State(created, float(found["RetentionPeriodHours"]) * 3600)

    def shards(self) -> list[Shard]:
        """Return the shards whose records are kept."""
        answer = self._ask("list_shards", StreamName=self._stream)
        listed = list(answer["Shards"])
        while answer.get("NextToken"):
            answer = self._ask("list_shards", NextToken=answer["NextToken"])
            listed += answer["Shards"]
        names = ("ParentShardId", "AdjacentParentShardId")
        return [Shard(each["ShardId"], tuple(each[name] for name in names if each.get(name))) for each in listed]

    def iterator(self, shard: str, where: Mapping[str, Any]) -> str:
        """Return an iterator of a shard."""
        answer = self._ask("get_shard_iterator", StreamName=self._stream, ShardId=shard, **where)
        return str(answer["ShardIterator"])

    def records(self, iterator: str, most: int) -> Answer | None:
        """Return records; None where the iterator has expired, or the shard is asked too often."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client.get_records(ShardIterator=iterator, Limit=most)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("ExpiredIteratorException", *_BUSY):
                return None
            self._refuse(error)
        except BotoCoreError as error:
            self._refuse(error)
        following = answer.get("NextShardIterator")
        return Answer(answer["Records"], following, not answer.get("MillisBehindLatest"))

    def close(self) -> None:
        """Leave."""
        self._client.close()

    def _ask(self, operation: str, **given: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return getattr(self._client, operation)(**given)
        except (BotoCoreError, ClientError) as error:
            self._refuse(error)

    def _refuse(self, error: Exception) -> NoReturn:
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

        if isinstance(error, NoCredentialsError | PartialCredentialsError):
            raise ConfigurationError(
                f"Connection {self._name!r} has no credentials of AWS",
                remedy='Give it access_key_id and secret_access_key = "${NAME}", or give the machine a role',
            ) from None
        if isinstance(error, ClientError):
            told = error.response["Error"]
            code, said = told["Code"], told.get("Message", "")
            if code == "ResourceNotFoundException":
                raise ConfigurationError(
                    f"There is no stream {self._stream!r} in the Kinesis of connection {self._name!r}",
                    remedy="Name one that is there: aws kinesis list-streams",
                ) from None
            if code in _DENIED:
                raise ConfigurationError(
                    f"The Kinesis of connection {self._name!r} does not let us read {self._stream!r}: {said or code}",
                    remedy="Its user needs DescribeStreamSummary, ListShards, GetShardIterator and GetRecords",
                ) from None
            raise TransientError(
                f"The Kinesis of connection {self._name!r} cannot be reached: {code} {said}".strip()
            ) from None
        if isinstance(error, BotoCoreError):
            raise TransientError(f"The Kinesis of connection {self._name!r} cannot be reached: {error}") from None
        raise error


def _region(connection: ConnectionSpec) -> str:
    scheme, _, region = connection.url.partition("://")
    if scheme != "kinesis" or not region.strip("/"):
        raise ConfigurationError(
            f"Connection {connection.name!r} names no region of Kinesis",
            value=connection.url,
            valid="kinesis://eu-central-1",
        )
    return region.strip("/")
