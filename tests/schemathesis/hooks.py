"""What OpenAPI cannot say of this API, for schemathesis."""

import base64
import json

import schemathesis
from schemathesis import GenerationMode

# Seconds. A poll that waits proves as much after one as after sixty.
WAIT_MAX = 1

# Bytes of UTF-8 by member. JSON Schema counts characters, so `maxLength` is right for ASCII only; `x-max-bytes` in the
# document says what is meant, for people.
BYTES_MAX = {"productId": 128, "storeId": 128, "name": 256, "idempotencyKey": 255}
# A price has at most so many characters; JSON Schema has no word for that.
PRICE_MAX = 64


def is_negative(case):
    return case.meta is not None and case.meta.generation.mode == GenerationMode.NEGATIVE


@schemathesis.hook
def map_case(context, case):
    query = case.query or {}
    wait = str(query.get("wait", ""))
    if wait.isascii() and wait.isdigit() and WAIT_MAX < int(wait) <= 60:
        query["wait"] = WAIT_MAX
    # A cursor is opaque: only the server can make a good one. One that was made up is bad, whatever its schema says.
    if not is_negative(case) and "cursor" in query and not is_cursor(query["cursor"]):
        del query["cursor"]
    if not is_negative(case):
        case.body = with_plain_integers(case.body)
    return case


# To JSON Schema 350.0 is an integer. This server wants integers without a fraction or an exponent, as it writes them.
INTEGERS = {"available", "delta", "version"}


def with_plain_integers(value, name=""):
    if isinstance(value, dict):
        return {key: with_plain_integers(member, key) for key, member in value.items()}
    if isinstance(value, list):
        return [with_plain_integers(item) for item in value]
    if name in INTEGERS and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def is_cursor(text):
    try:
        plain = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return plain.startswith(b"a:") and bool(plain.decode("utf-8"))
    except ValueError:
        return False


@schemathesis.hook
def filter_case(context, case):
    """Leaves out requests that are said to be good and are not, for a reason that their schema cannot tell."""
    return is_negative(case) or all(within_bytes(name, value) for name, value in members(case.body))


def members(value, name=""):
    if isinstance(value, dict):
        for key, member in value.items():
            yield from members(member, key)
    elif isinstance(value, list):
        for item in value:
            yield from members(item, "productId" if name == "productIds" else name)
    else:
        yield name, value


def within_bytes(name, value):
    if name == "price" and isinstance(value, (int, float)):
        return len(json.dumps(value)) <= PRICE_MAX
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass")) <= BYTES_MAX.get(name, 1 << 20)
    return True


@schemathesis.hook
def after_call(context, case, response):
    """A batch with a bad item is answered 200, and the item is refused by itself as `invalid_request` (the contract, Batch).

    That is the rejection which the check of bad data looks for; the other checks judge the answer as always.
    """
    if not is_negative(case) or case.path != "/v1/inventory/updates" or response.status_code != 200:
        return
    results = response.json().get("results", [])
    if any(result.get("errorType") == "invalid_request" for result in results):
        case.meta.generation.mode = GenerationMode.POSITIVE
