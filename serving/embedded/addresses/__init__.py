"""What the three addresses of a server answer, in TorchServe's words, and the Open Inference Protocol."""
