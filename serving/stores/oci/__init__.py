"""Archives as artefacts of OCI registries: references, credentials, the distribution API, push and pull."""
