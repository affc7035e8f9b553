"""What Python's CloudEvents SDK makes of the golden records: one JSON object a line, which
tests/foreign.rs compares with them. To be run anew whenever golden.csv has changed:

    pip install cloudevents==2.2.0
    python tests/vectors/read_cloudevents.py > tests/vectors/cloudevents.jsonl
"""

import hashlib
import json
import pathlib
import re
from base64 import b64decode

from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event

GOLDEN = pathlib.Path(__file__).parents[2] / "src/decide/envelope/tests/golden.csv"
PAIR = re.compile(r"((?:[\w+/]{4})*(?:[\w+/]{2}==|[\w+/]{3}=)?)(-|=.*)")


def decoded(field):
    return None if field == "-" else b64decode(field[1:])


def read(key, value, headers):
    pairs = (PAIR.fullmatch(pair).groups() for pair in headers.split())
    named = {b64decode(name).decode(): decoded(value) for name, value in pairs}
    # The SDK knows no header that is null.
    known = {name: value for name, value in named.items() if value is not None}
    return from_kafka_event(KafkaMessage(known, decoded(key), decoded(value)))


for line in GOLDEN.read_text().splitlines():
    name, *fields = line.split(",")
    if name.split("/")[0] in ("payload", "cloudevents"):
        event = read(*fields)
        attributes = event.get_attributes()
        seen = {
            "record": name,
            "sha256": hashlib.sha256(line.encode()).hexdigest(),
            "attributes": {name: str(value) for name, value in attributes.items()},
            "data": event.get_data(),
        }
        print(json.dumps(seen, sort_keys=True, default=bytes.decode))
