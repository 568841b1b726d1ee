"""The applications of Ray Serve: one for each model, and the front."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray import serve
from ray.serve import Application

from ... import version
from .cluster import FRONT
from .orders import ModelOrder
from .replica import application

# Ray Serve gives what is run again another version, and starts all replicas anew, unless it is told that their code
# is the same; `user_config` reaches those that run then.
_VERSION: dict[str, Any] = {"version": f"lexport-{version.__version__}", "_internal": True}


def bind_model(order: ModelOrder) -> Application:
    """Return the application of a model, as Ray Serve runs it by an order."""
    scaled: dict[str, Any] = {"num_replicas": order.least}
    if order.most > order.least:
        scaled = {
            "autoscaling_config": {
                "min_replicas": order.least,
                "max_replicas": order.most,
                "target_ongoing_requests": order.target,
                "look_back_period_s": 5.0,
                "metrics_interval_s": 1.0,
                "upscale_delay_s": 3.0,
                "downscale_delay_s": 60.0,
                "policy": {"policy_function": "lexport.serving.ray.replica.scaling:replicas"},
            }
        }
    make: Any = serve.deployment(application.Replica)
    deployment = make.options(
        name=order.name,
        user_config=order.to_json(),
        max_ongoing_requests=100_000,  # the queues of versions have the limits
        ray_actor_options={"num_cpus": 1},
        health_check_period_s=2,
        health_check_timeout_s=10,
        max_constructor_retry_count=3,
        **scaled,
        **_VERSION,
    )
    bound: Application = deployment.bind(application.packages())
    return bound


def bind_front(models: list[str], tokens: Mapping[str, Any] | None, limits: Mapping[str, int]) -> Application:
    """Return the application with every other address than the models' own."""
    told = {"models": models, "tokens": None if tokens is None else dict(tokens), "limits": dict(limits)}
    make: Any = serve.deployment(application.FrontReplica)
    deployment = make.options(
        name=FRONT,
        user_config=told,
        num_replicas=1,
        max_ongoing_requests=1_000,
        ray_actor_options={"num_cpus": 0},
        **_VERSION,
    )
    bound: Application = deployment.bind()
    return bound
