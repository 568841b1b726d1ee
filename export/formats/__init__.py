"""The forms a trained model is written in: TorchScript, ONNX, torch.export programs, quantized tables and layers."""
