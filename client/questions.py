"""From texts and images to the JSON that a model is asked, and from its JSON to typed answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack
from urllib.parse import quote

from ..errors import InputError
from .answers import Answer, Explanation, read_answer, read_explanation
from .errors import UnexpectedAnswer

Texts = str | Sequence[str]


class Options(TypedDict, total=False):
    """What may be said beside texts, as docs/http.md explains; `lang` is the language of all texts or of each."""

    lang: Texts | None
    top_k: int | None
    threshold: float | None
    version: str | None


@dataclass(frozen=True)
class Question:
    """A JSON body, or a text to be sent as it is, and the model's version asked.

    many, count: whether it is answered with a list, and of how many answers.
    """

    body: dict[str, Any] | str
    many: bool = False
    count: int = 1
    version: str | None = None

    def path(self, name: str, door: str = "predictions") -> str:
        """Where it is put to a model."""
        return f"/{door}/" + "/".join(quote(part, safe="") for part in (name, self.version) if part)


def about_texts(texts: Texts, **options: Unpack[Options]) -> Question:
    """A question about one text or several. Raises InputError if there is none."""
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    version = given.pop("version", None)
    if not isinstance(given.get("lang", ""), str):
        given["lang"] = list(given["lang"])
    if isinstance(texts, str):
        return Question({"text": texts} | given, version=version)
    if not texts:
        raise InputError('No texts to ask about. Give at least one: lexport predict NAME "a text"')
    return Question({"texts": list(texts)} | given, True, len(texts), version)


def about_images(images: Sequence[float] | Sequence[Sequence[float]], version: str | None = None) -> Question:
    """A question about one image, a sequence of numbers, or several. Raises InputError if there is none."""
    if not len(images):
        raise InputError("No images to ask about. Give at least one.")
    if not isinstance(images[0], Sequence) and not hasattr(images[0], "__len__"):
        return Question({"image": [float(value) for value in images]}, version=version)  # type: ignore[arg-type]
    rows = [[float(value) for value in image] for image in images]  # type: ignore[union-attr]
    return Question({"images": rows}, True, len(rows), version)


_REMEDY = (
    "Expected an archive made by lexport. For the answers of any other, as they are: "
    'client.ask("{name}", "a text"), or lexport predict {name} "a text"'
)


def check_count(name: str, question: Question, answer: Any) -> Any:
    """The answer itself. Raises UnexpectedAnswer for a list that is none, or has another length."""
    if question.many and (not isinstance(answer, list) or len(answer) != question.count):
        raise UnexpectedAnswer(
            f"{name} answered {question.count} {next(iter(question.body))} with {type(answer).__name__}, not with a "
            "list of as many answers.",
            _REMEDY.format(name=name),
            200,
        )
    return answer


def read_explained(name: str, answer: Any) -> Explanation:
    """A typed explanation. Raises UnexpectedAnswer."""
    try:
        return read_explanation(answer)
    except ValueError as error:
        raise UnexpectedAnswer(f"{name} gave {error}.", "Expected an archive made by lexport.", 200) from None


def read(name: str, question: Question, answer: Any) -> Answer | list[Answer]:
    """One typed answer, or a list of them. Raises UnexpectedAnswer."""
    check_count(name, question, answer)
    try:
        found: list[Answer] = [read_answer(one) for one in (answer if question.many else [answer])]
    except ValueError as error:
        raise UnexpectedAnswer(f"{name} gave {error}.", _REMEDY.format(name=name), 200) from None
    return found if question.many else found[0]
