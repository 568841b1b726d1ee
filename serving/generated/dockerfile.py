"""A Dockerfile: an image with lexport and the archives, run by a user without rights."""

from __future__ import annotations

from . import deployment as places
from .deployment import Deployment, probe
from .text import render


def dockerfile(deployment: Deployment) -> str:
    """Return the text of a Dockerfile, to be built in the folder that holds the archives.

    Raises InputError for a deployment that cannot be.
    """
    deployment.check()
    template = "Dockerfile.ray.jinja" if deployment.engine == "ray" else "Dockerfile.jinja"
    archives = [model.path for model in deployment.models]
    return render(
        template,
        deployment=deployment,
        files=[path.name for path in (*archives, *deployment.keys)],
        archives=[*(path.name for path in archives), f"{places.MODELS}/"],
        keys=[*(key.name for key in deployment.keys), f"{places.KEYS}/"] if deployment.keys else [],
        settings=[f"{name}={value}" for name, value in places.SETTINGS.items()],
        command=deployment.serve_words(str(places.VENV / "bin" / "lexport")),
        live=probe("/livez"),
        config=places.CONFIG,
        port=places.INFERENCE,
        metrics=places.METRICS,
        health=places.HEALTH,
        state=places.STATE,
        token=places.SECRETS / places.TOKEN,
        user=places.USER,
        venv=places.VENV,
    )
