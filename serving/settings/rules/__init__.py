"""What a config.properties of TorchServe may leave open, rule by rule; `settings.audit` applies them all."""
