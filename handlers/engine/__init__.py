"""Run an exported model: ONNX Runtime, TorchScript, torch.export programs, and their files."""
