"""The settings that TorchServe reads from config.properties, how it reads each, and what a missing one means.

From TorchServe's ConfigManager.java and docs/configuration.md, version 0.12.0, and the history of both.
"""

from __future__ import annotations

import re
from collections.abc import Callable

PORTS = {"inference": 8080, "management": 8081, "metrics": 8082}
"""The default port of each HTTP address."""
ANY_URL = "file://.*|http(s)?://.*"

DEFAULTS = {
    **{f"{name}_address": f"http://127.0.0.1:{port}" for name, port in PORTS.items()},
    "grpc_inference_address": "127.0.0.1",
    "grpc_management_address": "127.0.0.1",
    "grpc_inference_port": "7070",
    "grpc_management_port": "7071",
    "allowed_urls": ANY_URL,
    "decode_input_request": "true",
    "disable_system_metrics": "false",
    "enable_metrics_api": "true",
    "job_queue_size": "100",
    "keystore_pass": "changeit",
    "limit_max_image_pixels": "true",
    "max_request_size": "6553500",
    "max_response_size": "6553500",
    "token_expiration_min": "60",
}
"""What TorchServe takes for a setting that the file leaves out; "" or false for the others."""

_BOOLEANS = (
    *("debug", "model_metrics_auto_detect", "disable_system_metrics", "ipex_enable", "cpu_launcher_enable"),
    *("ipex_gpu_enable", "async_logging", "decode_input_request", "limit_max_image_pixels", "prefer_direct_buffer"),
    *("install_py_dep_per_model", "enable_metrics_api", "enable_grpc_ssl", "ts_open_inference_protocol"),
    *("disable_token_authorization", "enable_model_api", "use_native_io", "enable_envvars_config"),
    "use_env_allowed_urls",
)
_INTEGERS = (
    *("default_workers_per_model", "default_response_timeout", "default_startup_timeout"),
    *("unregister_model_timeout", "number_of_netty_threads", "netty_client_threads", "job_queue_size"),
    *("number_of_gpu", "max_request_size", "max_response_size", "grpc_inference_port", "grpc_management_port"),
    *("initial_worker_port", "initial_distribution_port", "io_ratio", "metric_time_interval"),
)
_LONGS = tuple(
    f"grpc_{which}_max_connection_age_{end}" for which in ("inference", "management") for end in ("ms", "grace_ms")
)
_TEXTS = (
    *("inference_address", "management_address", "metrics_address", "load_models", "blacklist_env_vars"),
    *("metrics_config", "metrics_mode", "cpu_launcher_args", "cors_allowed_origin", "cors_allowed_methods"),
    *("cors_allowed_headers", "keystore", "keystore_pass", "keystore_type", "certificate_file", "private_key_file"),
    *("default_service_handler", "service_envelope", "model_server_home", "model_store", "workflow_store"),
    *("allowed_urls", "grpc_inference_address", "grpc_management_address", "cpp_log_config"),
    *("ts_header_key_sequence_id", "ts_header_key_sequence_start", "ts_header_key_sequence_end"),
    *("model_snapshot", "models", "version", "system_metrics_cmd", "python", "vmargs", "plugins_path"),
    "tsConfigFile",
)


def _is_boolean(value: str) -> bool:
    return value.lower() in ("true", "false")


def _is_whole(bits: int) -> Callable[[str], bool]:
    """Return whether Java's parseInt (32 bits) or parseLong (64) takes a text."""

    def check(value: str) -> bool:
        found = re.fullmatch(r"[+-]?0*([0-9]{1,19})", value, re.ASCII)
        return found is not None and int(found[1]) < 2 ** (bits - 1)

    return check


def _is_minutes(value: str) -> bool:
    return re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", value, re.ASCII) is not None


READ_AS: dict[str, tuple[Callable[[str], bool], str]] = {
    **dict.fromkeys(_BOOLEANS, (_is_boolean, "true or false")),
    **dict.fromkeys(_INTEGERS, (_is_whole(32), "a whole number up to 2147483647, without blanks")),
    **dict.fromkeys(_LONGS, (_is_whole(64), "a whole number, without blanks")),
    "token_expiration_min": (_is_minutes, "a number of minutes"),
}
"""By setting, whether TorchServe can read a value, and what it would read in words."""
BOOLEANS = frozenset(_BOOLEANS)
KNOWN = frozenset((*READ_AS, *_TEXTS))
"""Every setting that TorchServe or its start program reads."""
