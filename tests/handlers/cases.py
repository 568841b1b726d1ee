"""What clients send: texts that must be answered, bodies that must be refused."""

from __future__ import annotations

import gzip
import json

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=B"
LIMIT = 6_553_500

# name: text, tokens, unknown, truncated
TEXTS: dict[str, tuple[str, int, int | None, bool]] = {
    "plain": ("the team won the match .", 6, None, False),
    "empty": ("", 0, 0, False),
    "blank": (" \t\r\n\u3000\u00a0", 0, 0, False),
    "1 MB": ("goal " * 200_000, 1024, 0, True),
    "1 MB of one word": ("x" * 1_000_000, 1, 1, False),
    "1 MB of spaces": (" " * 1_000_000, 0, 0, False),
    "10,000 unknown words": (" ".join(f"zz{n}" for n in range(10_000)), 1024, 1024, True),
    "NUL and controls": ("goal\0team\x01\x08\x1b\x7f\x85\u200b\ufeffsalt", 3, 0, False),
    "emoji": ("👩\u200d👧 goal 🏳️‍🌈", 5, None, False),
    "Chinese": ("很好看，goal", 5, 4, False),
    "cases without context": ("ΟΔΥΣΣΕΥΣ İstanbul K", 3, 3, False),
    "beyond the plane": ("\U0010fffd\U000e0001\uffff goal", 1, 0, False),
    "[PAD] [UNK]": ("[PAD] [UNK]", 6, None, False),
}

# name: status, what the error says, body, content type
NESTED = b'{"text": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
DEEP = b"[" * 900 + b"]" * 900
REFUSED: dict[str, tuple[int, str, bytes, str | None]] = {
    "empty body": (400, "body is empty", b"", None),
    "empty text/plain": (400, "body is empty", b"", "text/plain"),
    "empty JSON": (400, "body is empty", b"", JSON),
    "empty form": (400, "no field `data`", b"", FORM),
    "form without data": (400, "its fields: text", b"text=goal", FORM),
    "text as a form": (400, "`curl -d`", b"the team won", FORM),
    "form top_k": (400, "`top_k` is 0.5", b"data=goal&top_k=0.5", FORM),
    "cut multipart": (
        400,
        "no field `data`",
        b'--B\r\nContent-Disposition: form-data; name="data"\r\n\r\nx',
        MULTIPART,
    ),
    "multipart without boundary": (400, "no field `data`", b"--B--\r\n", "multipart/form-data"),
    "invalid UTF-8": (400, "not valid UTF-8: byte 0xff at position 5", b"goal \xff", "text/plain"),
    "cut UTF-8": (400, "not valid UTF-8: byte 0xe5 at position 5", b"goal \xe5\xa5", None),
    "encoded surrogate": (400, "not valid UTF-8", b"\xed\xa0\x80", None),
    "invalid UTF-8 in JSON": (400, "not valid UTF-8", b'{"text": "\xe9"}', JSON),
    "invalid UTF-8 in a form": (400, "not valid UTF-8", b"data=%ff", FORM),
    "UTF-16": (415, "charset utf-16 is not served", "goal".encode("utf-16"), "text/plain; charset=utf-16"),
    "Latin-1": (415, "charset iso-8859-1 is not served", b"caf\xe9", 'text/plain; charset="ISO-8859-1"'),
    "Latin-1 JSON": (415, "charset latin-1", b"{}", "application/json;charset=latin-1"),
    "UTF-16 without saying so": (400, "not valid UTF-8", "goal".encode("utf-16"), None),
    "not ASCII": (400, "not valid US-ASCII", "é".encode(), "text/plain; charset=us-ascii"),
    "gzip without saying so": (400, "not valid UTF-8", gzip.compress(b"goal"), None),
    "a picture": (415, "content type image/png is not served", b"\x89PNG", "image/png"),
    "nonsense type": (415, "is not served", b"x", "\u00ff" * 100),
    "malformed JSON": (400, "line 1, column 10", b'{"text": goal}', JSON),
    "two JSON values": (400, "Extra data", b'{"text": "a"} {"text": "b"}', JSON),
    "a word": (400, "not valid JSON", b"goal", JSON),
    "200,000 deep": (400, "nested too deeply", NESTED, JSON),
    "900 deep text": (400, "`text` is a list", b'{"text": ' + DEEP + b"}", JSON),
    "900 deep top_k": (400, "`top_k` is", b'{"text": "a", "top_k": ' + DEEP + b"}", JSON),
    "900 deep shape": (
        400,
        "the shape",
        b'{"inputs":[{"datatype":"BYTES","data":["a"],"shape":' + DEEP + b"}]}",
        JSON,
    ),
    "900 deep datatype": (400, "datatype is […]", b'{"inputs":[{"datatype":' + DEEP + b"}]}", JSON),
    "5,000 digits": (400, "thousands of digits", b'{"text": "a", "top_k": ' + b"9" * 5000 + b"}", JSON),
    "NaN": (400, "it has NaN", b'{"text": NaN}', JSON),
    "infinity": (400, "it has -Infinity", b'{"text": "a", "top_k": -Infinity}', JSON),
    "a huge number": (400, "`top_k` is inf", b'{"text": "a", "top_k": 1e999}', JSON),
    "a lone surrogate": (400, "a lone surrogate", b'{"text": "\\ud83d"}', JSON),
    "a surrogate in a list": (400, "1: a string with a lone surrogate", b'{"texts": ["a", "\\udc00"]}', JSON),
    "a surrogate as key": (400, "its keys: ", b'{"\\ud800": 1}', JSON),
    "a surrogate as id": (400, "`id`", b'{"inputs":[{"datatype":"BYTES","data":["a"]}],"id":"\\ud800"}', JSON),
    "no keys": (400, "its keys: none", b"{}", JSON),
    "other keys": (400, "its keys: txt, x", b'{"txt": "a", "x": 1}', JSON),
    "text and texts": (400, "both `text` and `texts`", b'{"text": "a", "texts": ["a"]}', JSON),
    "top_k 0": (400, "`top_k` is 0", b'{"text": "a", "top_k": 0}', JSON),
    "top_k true": (400, "`top_k` is True", b'{"text": "a", "top_k": true}', JSON),
    "top_k text": (400, "`top_k` is '1'", b'{"text": "a", "top_k": "1"}', JSON),
    "an image": (400, "takes no images", b'{"image": [0.5]}', JSON),
    "lang": (400, "`lang` is given; this model has no languages", b'{"text": "a", "lang": "en"}', JSON),
    "form lang": (400, "`lang` is given", b"data=goal&lang=en", FORM),
    "threshold": (400, "does not answer several labels", b'{"text": "a", "threshold": 0.5}', JSON),
    "empty list": (400, "`texts` is an empty list", b'{"texts": []}', JSON),
    "1,025 texts": (400, "has 1,025 elements", json.dumps({"texts": ["a"] * 1025}).encode(), JSON),
    **{
        f"JSON is {kind}": (400, f"The JSON is {kind}, not an object", body, JSON)
        for kind, body in {"a list": b'["a"]', "a string": b'"a"', "a number": b"1", "null": b"null"}.items()
    },
    **{
        f"text is {kind}": (400, f"`text` is {kind}, not a string", b'{"text": ' + value + b"}", JSON)
        for kind, value in {
            "null": b"null",
            "a boolean": b"false",
            "a number": b"1.5",
            "a list": b'["a"]',
            "an object": b"{}",
        }.items()
    },
    **{
        f"texts is {kind}": (400, f"`texts` is {kind}, not a list", b'{"texts": ' + value + b"}", JSON)
        for kind, value in {"null": b"null", "a string": b'"abc"', "an object": b"{}", "a number": b"3"}.items()
    },
    **{
        f"v2 {name}": (400, error, json.dumps({"inputs": inputs}).encode(), JSON)
        for name, error, inputs in (
            ("no tensor", "exactly one tensor", []),
            ("two tensors", "exactly one tensor", [{}, {}]),
            ("inputs object", "exactly one tensor", {}),
            ("tensor text", "exactly one tensor", ["a"]),
            ("datatype", "datatype is 'FP32'", [{"datatype": "FP32", "data": [1.0]}]),
            ("no datatype", "datatype is null", [{"data": ["a"]}]),
            ("no data", "`data` is null", [{"datatype": "BYTES"}]),
            ("bad data", "1: a number", [{"datatype": "BYTES", "data": ["a", 1]}]),
            ("shape", "2 elements and the shape [3]", [{"datatype": "BYTES", "data": ["a", "b"], "shape": [3]}]),
            ("float shape", "the shape [1.0]", [{"datatype": "BYTES", "data": ["a"], "shape": [1.0]}]),
            ("bool shape", "the shape [True]", [{"datatype": "BYTES", "data": ["a"], "shape": [True]}]),
        )
    },
    "v2 id": (400, "`id` is a number", b'{"inputs":[{"datatype":"BYTES","data":["a"]}],"id":1}', JSON),
}


def multipart(text: str, options: bytes = b"") -> bytes:
    head = b'--B\r\nContent-Disposition: form-data; name="data"' + options + b"\r\n\r\n"
    return head + text.encode() + b"\r\n--B--\r\n"
