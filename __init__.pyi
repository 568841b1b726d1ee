from .api.archive import Archive as Archive
from .api.classifier import TextClassifier as TextClassifier
from .api.functions import archiver_inputs as archiver_inputs
from .api.functions import demo as demo
from .api.functions import diff as diff
from .api.functions import doctor as doctor
from .api.functions import inspect as inspect
from .api.functions import load as load
from .api.functions import proxy_configuration as proxy_configuration
from .api.functions import recipes as recipes
from .api.functions import record as record
from .api.functions import serve as serve
from .api.functions import server as server
from .api.functions import verify as verify
from .api.run import Run as Run
from .api.server import Server as Server
from .api.train import train as train
from .client import AsyncClient as AsyncClient
from .client import Client as Client
from .data.reading.options import Reading as Reading
from .errors import InputError as InputError
from .errors import LexportError as LexportError
from .errors import RefusedError as RefusedError
from .errors import SystemProblem as SystemProblem
from .serving.proxies.configuration import Proxy as Proxy
from .version import __version__ as __version__

__all__: list[str]
