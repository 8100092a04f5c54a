"""Tokens, ciphertexts and masks of single values, through the SQL that makes them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
from datetime import date
from uuid import UUID

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import ConfigurationError, DataError
from penstock.privacy.keys import Keys, environment_keys, read_keys
from penstock.privacy.shield import Shield
from penstock.privacy.values import decrypt, encrypter, token_of, tokeniser
from penstock.schema import parse

SECRET = bytes(range(32))
KEY = base64.b64encode(SECRET).decode()
KEYS = read_keys(KEY, where="a test")
OTHER = read_keys(base64.b64encode(b"z" * 32).decode(), where="a test")


def protected(how: str, expression: str, keys: Keys = KEYS) -> str | None:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        shield = Shield("people", {"x": how}, keys)
        with shield.raised(connection):
            type_ = connection.execute(f"SELECT typeof({expression})").fetchone()
            assert type_ is not None
            found = shield.shielded("x", "x", type_[0])
            row = connection.execute(f"SELECT {found.expression} FROM (SELECT {expression} AS x)").fetchone()
    assert row is not None
    return None if row[0] is None else str(row[0])


def test_a_token_is_half_an_hmac_under_a_key_of_its_own() -> None:
    derived = hmac.new(SECRET, b"penstock tokens", hashlib.sha256).digest()
    expected = hmac.new(derived, "Jörg".encode(), hashlib.sha256).hexdigest()[:32]
    assert protected("tokenise", "'Jörg'") == f"tok1-{expected}"
    assert token_of("Jörg", KEYS) == f"tok1-{expected}"
    assert token_of("Jörg", OTHER) != f"tok1-{expected}"


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_tokens_are_those_of_the_standard_library_for_all_bytes(value: bytes) -> None:
    assert tokeniser(KEYS)(value) == "tok1-" + hmac.digest(KEYS.token_key(), value, "sha256").hex()[:32]


@pytest.mark.parametrize(
    "expression",
    [
        *("'7'", "7::TINYINT", "7::BIGINT", "7::HUGEINT", "7::UBIGINT", "7::DECIMAL(4,2)", "7.0::DOUBLE"),
        *("7::FLOAT", "7::DECIMAL(3,0)", "'7'::ENUM('7', '8')", "'7'::BLOB", "'7'::JSON"),
    ],
)
def test_seven_has_one_token_in_every_type(expression: str) -> None:
    assert protected("tokenise", expression) == token_of(7, KEYS)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("'07'", "07"),
        ("' 7'", " 7"),
        ("7.50::DECIMAL(6,3)", "7.5"),
        ("-100.00::DECIMAL(6,2)", "-100"),
        ("0.1::FLOAT", "0.1"),
        ("0.1::DOUBLE", "0.1"),
        ("-0.0::DOUBLE", "0"),
        ("'nan'::DOUBLE", "nan"),
        ("true", "true"),
        ("DATE '2026-11-20'", "2026-11-20"),
        ("TIMESTAMP '2026-11-20 15:04:05.5'", "2026-11-20 15:04:05.5"),
        ("TIMESTAMP_NS '2026-11-20 15:04:05.5'", "2026-11-20 15:04:05.5"),
        ("TIMESTAMPTZ '2026-11-20 15:04:05+02'", "2026-11-20 13:04:05+00"),
        ("UUID '8D3B2C1A-0000-4000-8000-00000000000A'", "8d3b2c1a-0000-4000-8000-00000000000a"),
        ("{'a': 1, 'b': 'x'}", '{"a":1,"b":"x"}'),
        ("['x', 'y']", '["x","y"]'),
    ],
)
def test_the_canonical_text_is_as_documented(expression: str, text: str) -> None:
    assert protected("tokenise", expression) == token_of(text, KEYS)
    if not expression.startswith("'7'::BLOB"):
        assert decrypt([protected("encrypt", expression)], KEYS) == [text]


def test_single_values_have_the_token_of_their_column() -> None:
    assert token_of(date(2026, 11, 20), KEYS) == protected("tokenise", "DATE '2026-11-20'")
    assert token_of(UUID(int=5), KEYS) == protected("tokenise", f"UUID '{UUID(int=5)}'")
    assert token_of(True, KEYS) == protected("tokenise", "true")
    with pytest.raises(ConfigurationError, match="A float is not made a token of"):
        token_of(1.5, KEYS)


@pytest.mark.parametrize("how", ["tokenise", "encrypt", "mask", "null"])
def test_null_stays_null(how: str) -> None:
    assert protected(how, "NULL::VARCHAR") is None
    assert protected(how, "NULL") is None


@given(st.one_of(st.text(max_size=60), st.binary(max_size=60)))
@settings(max_examples=200, deadline=None)
def test_what_is_encrypted_comes_back_and_equal_values_are_equal(value: str | bytes) -> None:
    of_bytes = isinstance(value, bytes)
    data = value if isinstance(value, bytes) else value.encode(errors="surrogatepass")
    try:
        data.decode() if not of_bytes else None
    except UnicodeDecodeError:
        return
    sealed = encrypter(KEYS, of_bytes=of_bytes)(data)
    assert sealed == encrypter(KEYS, of_bytes=of_bytes)(data)
    assert decrypt([sealed, None, sealed], KEYS) == [value, None, value]


def test_bytes_come_back_as_bytes_through_the_engine() -> None:
    assert decrypt([protected("encrypt", r"'\x00\xFF'::BLOB")], KEYS) == [b"\x00\xff"]


@pytest.mark.parametrize(
    "value",
    [
        "bob@example.org",
        "enc1-AAAA",
        encrypter(KEYS, of_bytes=False)(b"bob")[:-6] + "AAAAAA",
        encrypter(OTHER, of_bytes=False)(b"bob"),
    ],
)
def test_what_was_changed_or_is_of_another_key_is_refused_and_not_shown(value: str) -> None:
    with pytest.raises(DataError, match="Value 2") as told:
        decrypt([None, value], KEYS)
    assert value not in str(told.value)
    assert told.value.__cause__ is None


def test_former_keys_decrypt_and_the_new_one_encrypts() -> None:
    second = base64.b64encode(b"n" * 32).decode()
    rotated = read_keys(second, version=2, former={"1": KEY}, where="a test")
    old, new = encrypter(KEYS, of_bytes=False)(b"bob"), encrypter(rotated, of_bytes=False)(b"bob")
    assert old.startswith("enc1-")
    assert new.startswith("enc2-")
    assert decrypt([old, new], rotated) == ["bob", "bob"]
    shredded = read_keys(second, version=2, where="a test")
    with pytest.raises(ConfigurationError, match="no privacy key of version 1"):
        decrypt([old], shredded)


@pytest.mark.parametrize(
    ("expression", "mask"),
    [
        ("'Ada.Lovelace@example.org'", "Xxx.Xxxxxxxx@xxxxxxx.xxx"),
        ("'Ñandú 東京 ٣4 é'", "Xxxxx xx 00 x"),
        ("-1234::BIGINT", "-0000"),
        ("'e\u0301'", "xx"),
    ],
)
def test_a_mask_keeps_the_shape(expression: str, mask: str) -> None:
    assert protected("mask", expression) == mask


def test_no_representation_or_error_shows_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for shown in (repr(KEYS), str(KEYS), KEYS.name):
        assert KEY not in shown
        assert SECRET.hex() not in shown
    for bad in ("c2hvcnQ=", "é" * 40, "not base64! not base64! not base64! not"):
        with pytest.raises(ConfigurationError, match="32 random bytes") as told:
            read_keys(bad, where="a test")
        assert bad not in str(told.value)
        assert told.value.__cause__ is None
    with pytest.raises(ConfigurationError, match="former"):
        read_keys(KEY, version=2, former={"2": KEY}, where="a test")
    monkeypatch.setenv("PENSTOCK_PRIVACY_KEY", "bad")
    with pytest.raises(ConfigurationError, match="PENSTOCK_PRIVACY_KEY"):
        environment_keys()


def test_keys_of_urls_alphabet_are_taken_too() -> None:
    secret = b"\xfb\xff" * 16
    assert read_keys(base64.urlsafe_b64encode(secret).decode(), where="a test").secrets == {1: secret}


def test_the_key_stands_in_no_plan_and_no_function_outlives_the_reading() -> None:
    with duckdb.connect() as connection:
        shield = Shield("people", {"email": "tokenise", "phone": "encrypt"}, KEYS)
        before = connection.execute("SELECT count(*) FROM duckdb_functions()").fetchall()
        with shield.raised(connection):
            found = shield.shielded("email", "email", "VARCHAR")
            assert connection.execute("SELECT count(*) FROM duckdb_functions()").fetchall() != before
            plan = str(
                connection.execute(
                    f"EXPLAIN SELECT {found.expression} FROM (SELECT 'a' || i AS email FROM range(9) t(i))"
                ).fetchall()
            )
        assert "penstock_tokenise" in plan
        assert KEYS.token_key().hex()[:16] not in plan
        assert repr(KEYS.token_key())[2:12] not in plan
        assert connection.execute("SELECT count(*) FROM duckdb_functions()").fetchall() == before


def test_two_tables_of_one_engine_are_protected_at_once() -> None:
    failed: list[BaseException] = []
    with duckdb.connect() as database:

        def read(keys: Keys) -> None:
            try:
                with database.cursor() as connection:
                    for _ in range(5):
                        shield = Shield("people", {"x": "tokenise"}, keys)
                        with shield.raised(connection):
                            sql = shield.shielded("x", "x", "VARCHAR").expression
                            query = f"SELECT count(*), min({sql}) FROM (SELECT 'bob' AS x FROM range(20000))"
                            assert connection.execute(query).fetchone() == (20000, token_of("bob", keys))
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=read, args=(keys,)) for keys in (KEYS, OTHER, KEYS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failed


def nested(paths: dict[str, str], expression: str) -> object:
    with duckdb.connect() as connection:
        shield = Shield("people", {f"x.{path}": how for path, how in paths.items()}, KEYS)
        with shield.raised(connection):
            type_ = connection.execute(f"SELECT typeof({expression})").fetchone()
            assert type_ is not None
            found = shield.shielded("x", "x", type_[0])
            assert not found.missing
            row = connection.execute(
                f"SELECT y, typeof(y) FROM (SELECT {found.expression} AS y FROM (SELECT {expression} AS x))"
            ).fetchone()
    assert row is not None
    assert parse(row[1]) == parse(found.type)
    return row[0]


def test_fields_within_are_protected_and_the_others_stay() -> None:
    homes = "[{'street': 'High 1', 'city': 'York'}, NULL, {'street': NULL, 'city': 'Ely'}]"
    whole = f"{{'id': 7, 'Email': 'a@b.org', 'homes': {homes}}}"
    assert nested({"email": "tokenise", "homes.street": "mask"}, whole) == {
        "id": 7,
        "Email": token_of("a@b.org", KEYS),
        "homes": [{"street": "Xxxx 0", "city": "York"}, None, {"street": None, "city": "Ely"}],
    }
    assert nested({"email": "null"}, "CAST(NULL AS STRUCT(email VARCHAR, id INTEGER))") is None
    assert nested({"a.b.c": "tokenise"}, "[[{'a': {'b': [{'c': 1}]}}]]") == [[{"a": {"b": [{"c": token_of(1, KEYS)}]}}]]


def test_a_path_into_a_value_without_fields_is_refused() -> None:
    shield = Shield("people", {"x.email": "mask"}, None)
    for type_ in ("VARCHAR", "JSON", "MAP(VARCHAR, VARCHAR)", "UNION(a INTEGER)"):
        with pytest.raises(DataError, match="has no fields"):
            shield.shielded("x", "x", type_)
    assert shield.shielded("x", "x", "STRUCT(mail VARCHAR)").missing == ("x.email",)
    assert shield.shielded("y", "y", "VARCHAR").expression == "y"


def test_a_repeat_and_another_case_of_a_personal_column_is_personal() -> None:
    shield = Shield("people", {"Email": "mask", "line_2": "null"}, None)
    for name in ("email", "EMAIL", "email__2", "Email_1"):
        assert shield.mark(name) == "mask"
    for name in ("mail", "email_domain", "line", "line_3", "2", "_"):
        assert shield.mark(name) is None
    assert shield.mark("line_2") == "null"
