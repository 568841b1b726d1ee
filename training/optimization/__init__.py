"""Steps of training: their size, the optimizers, and the average of the weights."""
