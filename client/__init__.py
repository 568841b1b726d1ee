"""Ask a served model from Python: `Client`, `AsyncClient`, their answers and errors. Page: docs/client.md.

Each name is imported when it is first used, as those of `lexport` are: a run has the same answers, and no HTTP.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
