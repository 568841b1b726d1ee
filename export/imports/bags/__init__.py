"""Classifiers of an embedding bag and a linear layer, as the examples of torch and TorchServe have them:
TorchScript, ONNX or a dictionary of weights, with a vocabulary and labels in files beside it.
"""
