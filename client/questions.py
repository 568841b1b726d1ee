"""Turn texts and images into a model's JSON requests, and its JSON answers into typed ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack
from urllib.parse import quote, unquote, urlsplit

from ..errors import InputError
from .answers import Answer, Explanation, read_answer, read_explanation
from .errors import UnexpectedAnswer

Texts = str | Sequence[str]


class Options(TypedDict, total=False):
    """Options of a request for texts, see docs/http.md; `lang` is the language of all texts, or one for each."""

    lang: Texts | None
    top_k: int | None
    threshold: float | None
    version: str | None


@dataclass(frozen=True)
class Question:
    """A request to a model."""

    body: dict[str, Any] | str
    """A JSON body, or a text to be sent as it is."""
    many: bool = False
    """Whether the answer is a list."""
    count: int = 1
    """Number of answers in the list."""
    version: str | None = None
    """The model's version; None for the default version."""

    def path(self, name: str, endpoint: str = "predictions") -> str:
        """Return the path of the request."""
        return f"/{endpoint}/" + "/".join(quote(part, safe="") for part in (name, self.version) if part)


def served_model(url: str) -> tuple[str, str, str | None] | None:
    """Return address, model and version of http://HOST:PORT/predictions/NAME[/VERSION]; None for another URL."""
    parts = urlsplit(url)
    path = [unquote(part) for part in parts.path.split("/") if part]
    if path[:1] != ["predictions"] or len(path) not in (2, 3):
        return None
    return f"{parts.scheme}://{parts.netloc}", path[1], path[2] if len(path) == 3 else None


def about_texts(texts: Texts, **options: Unpack[Options]) -> Question:
    """Return a question about one text or several. Raises InputError if there is none."""
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    version = given.pop("version", None)
    if not isinstance(given.get("lang", ""), str):
        given["lang"] = list(given["lang"])
    if isinstance(texts, str):
        return Question({"text": texts} | given, version=version)
    if not texts:
        raise InputError(
            'No texts to ask about. Give at least one: lexport predict NAME "a text"', code="LX-CLIENT-002"
        )
    return Question({"texts": list(texts)} | given, True, len(texts), version)


def about_images(images: Sequence[float] | Sequence[Sequence[float]], version: str | None = None) -> Question:
    """Return a question about one image, a sequence of numbers, or several. Raises InputError if there is none."""
    if not len(images):
        raise InputError("No images to ask about. Give at least one.", code="LX-CLIENT-003")
    if not isinstance(images[0], Sequence) and not hasattr(images[0], "__len__"):
        return Question({"image": [float(value) for value in images]}, version=version)  # type: ignore[arg-type]
    rows = [[float(value) for value in image] for image in images]  # type: ignore[union-attr]
    return Question({"images": rows}, True, len(rows), version)


_REMEDY = (
    "Expected an archive made by lexport. For the answers of any other, as they are: "
    'client.ask("{name}", "a text"), or lexport predict {name} "a text"'
)


def check_count(name: str, question: Question, answer: Any) -> Any:
    """Return the answer itself. Raises UnexpectedAnswer if it is not a list of the expected length."""
    if question.many and (not isinstance(answer, list) or len(answer) != question.count):
        raise UnexpectedAnswer(
            f"{name} answered {question.count} {next(iter(question.body))} with {type(answer).__name__}, not with a "
            "list of as many answers.",
            _REMEDY.format(name=name),
            200,
        )
    return answer


def read_explained(name: str, answer: Any) -> Explanation:
    """Return a typed explanation. Raises UnexpectedAnswer."""
    try:
        return read_explanation(answer)
    except ValueError as error:
        raise UnexpectedAnswer(
            f"The answer of {name} is {error}.", "Expected an archive made by lexport.", 200
        ) from None


def read(name: str, question: Question, answer: Any) -> Answer | list[Answer]:
    """Return one typed answer, or a list of them. Raises UnexpectedAnswer."""
    check_count(name, question, answer)
    try:
        found: list[Answer] = [read_answer(one) for one in (answer if question.many else [answer])]
    except ValueError as error:
        raise UnexpectedAnswer(f"The answer of {name} is {error}.", _REMEDY.format(name=name), 200) from None
    return found if question.many else found[0]
