"""The embedded engine's gRPC addresses: TorchServe's services and the Open Inference Protocol's."""
