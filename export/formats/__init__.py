"""Write variants: TorchScript, ONNX, torch.export programs, quantized tables, and the files beside the model."""
