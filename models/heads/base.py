"""What every head does: raw outputs for the loss, and of these the answer that is served."""

from __future__ import annotations

from torch import Tensor, nn


class Head(nn.Module):
    """Turns a text's vector into outputs. Training works on `forward`'s outputs, exports answer `answer`'s."""

    def forward(self, vectors: Tensor) -> Tensor:
        """float32 [batch, width] → outputs float32 [batch, outputs]."""
        raise NotImplementedError

    def answer(self, outputs: Tensor) -> Tensor:
        """Outputs float32 [batch, outputs] → what is served, of the same shape."""
        raise NotImplementedError
