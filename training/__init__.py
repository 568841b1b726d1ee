"""How a model learns: the trainer, its objective and optimizers, checkpoints, several processes, new words."""
