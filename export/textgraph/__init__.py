"""The text code of `handlers/` as ONNX nodes: raw UTF-8 strings in, whatever an exported ids-in model takes out."""

from .attach import make_text_in, reason_against

__all__ = ["make_text_in", "reason_against"]
