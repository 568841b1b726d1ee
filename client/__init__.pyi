from .answers import Answer as Answer
from .answers import Contribution as Contribution
from .answers import Explanation as Explanation
from .answers import MultiLabelPrediction as MultiLabelPrediction
from .answers import Prediction as Prediction
from .answers import Scored as Scored
from .answers import Vector as Vector
from .clients import AsyncClient as AsyncClient
from .clients import Client as Client
from .errors import ClientError as ClientError
from .errors import ModelFailed as ModelFailed
from .errors import NoServer as NoServer
from .errors import QueueFull as QueueFull
from .errors import RefusedInput as RefusedInput
from .errors import TimedOut as TimedOut
from .errors import Unauthorised as Unauthorised
from .errors import UnexpectedAnswer as UnexpectedAnswer
from .errors import UnknownModel as UnknownModel
from .errors import WorkerLost as WorkerLost

__all__: list[str]
