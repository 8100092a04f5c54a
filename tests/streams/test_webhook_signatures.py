"""Signatures of webhooks: what is rightly signed is taken, whatever else is told apart and refused."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from penstock.extract.streams.webhooks.signatures import RefusedError, Window, identify, secret_bytes

BODY = b'{"event_type":"ping","data":{"success":true}}'
KEY = b"twenty-four random bytes"
SECRET = secret_bytes("standard", "whsec_" + base64.b64encode(KEY).decode())
RIGHT = base64.b64encode(hmac.new(KEY, b"msg_loFOjxBXrRLzqYUf.1731705121." + BODY, hashlib.sha256).digest()).decode()
STANDARD = {
    "webhook-id": "msg_loFOjxBXrRLzqYUf",
    "webhook-timestamp": "1731705121",
    "webhook-signature": f"v1,{RIGHT}",
}
NOW = Window(1731705121.0, 300.0)


def by_hand(key: bytes, signed: bytes) -> str:
    return hmac.new(key, signed, hashlib.sha256).hexdigest()


def test_what_is_signed_by_the_standard_is_right_and_so_is_one_signature_among_several() -> None:
    assert identify("standard", STANDARD, BODY, [SECRET], NOW) == "msg_loFOjxBXrRLzqYUf"
    several = STANDARD | {"webhook-signature": f"v1a,xxx v1,AAAA {STANDARD['webhook-signature']}"}
    assert identify("standard", several, BODY, [b"another", SECRET], NOW) == "msg_loFOjxBXrRLzqYUf"


@pytest.mark.parametrize(
    ("change", "body", "now", "why"),
    [
        ({}, BODY + b" ", 1731705121, "signature is not right"),
        ({"webhook-id": "msg_other"}, BODY, 1731705121, "signature is not right"),
        ({"webhook-timestamp": "1731705122"}, BODY, 1731705121, "signature is not right"),
        ({"webhook-signature": f"v2,{RIGHT}"}, BODY, 1731705121, "not right"),
        ({"webhook-signature": "v1,?"}, BODY, 1731705121, "signature is not right"),
        ({"webhook-signature": ""}, BODY, 1731705121, "header webhook-signature is missing"),
        ({"webhook-timestamp": "soon"}, BODY, 1731705121, "no number of seconds"),
        ({}, BODY, 1731705121 + 301, "more than 300 s ago"),
        ({}, BODY, 1731705121 - 301, "ahead of our clock"),
    ],
)
def test_what_is_not_rightly_signed_is_refused(change: dict[str, str], body: bytes, now: float, why: str) -> None:
    with pytest.raises(RefusedError, match=why) as refused:
        identify("standard", STANDARD | change, body, [SECRET], Window(now, 300))
    assert refused.value.status == 401


def test_a_window_has_two_sides_and_its_edge_is_within() -> None:
    for now in (1731705121 + 300, 1731705121 - 300):
        assert identify("standard", STANDARD, BODY, [SECRET], Window(now, 300))


def test_github_and_stripe_sign_in_their_ways() -> None:
    key = b"it's a secret"
    github = {"x-hub-signature-256": f"sha256={by_hand(key, BODY)}", "x-github-delivery": "72d3162e"}
    assert identify("github", github, BODY, [key], NOW) == "72d3162e"
    with pytest.raises(RefusedError, match="not right"):
        identify("github", github | {"x-hub-signature-256": "sha256=zz"}, BODY, [key], NOW)
    stripe = {"stripe-signature": f"t=1731705121,v1=00,v1={by_hand(key, b'1731705121.' + BODY)}"}
    assert identify("stripe", stripe, BODY, [key], NOW) == hashlib.sha256(BODY).hexdigest()
    with pytest.raises(RefusedError, match="not right"):
        identify("stripe", stripe, BODY, [b"old"], NOW)


@pytest.mark.parametrize("id_", ["a b", "a\tb", "ä", "x" * 257, "a\nb"])
def test_an_id_that_could_spoil_a_line_is_refused(id_: str) -> None:
    with pytest.raises(RefusedError, match="printable ASCII") as refused:
        identify("none", {"webhook-id": id_}, b"", [], NOW)
    assert refused.value.status == 400


def test_where_nobody_signs_an_event_is_known_by_an_id_or_by_what_it_says() -> None:
    assert identify("none", {"idempotency-key": "7"}, b"", [], NOW) == "7"
    assert identify("none", {}, b"x", [], NOW) == hashlib.sha256(b"x").hexdigest()


def test_a_secret_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match=r"(?i)base64|character|padding"):
        secret_bytes("standard", "whsec_no base64!")
