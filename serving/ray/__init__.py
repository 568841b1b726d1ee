"""The engine on a Ray cluster: an application per model, replicas on many machines."""
