"""Answer texts with the model in the folder `model`: pip install onnxruntime; python predict.py TEXT…

A model with languages takes the language before each text: python predict.py en "a text" ne "another".
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(str(Path(__file__).parent / "model" / "model.onnx"), options)
inputs, outputs = ([one.name for one in some] for some in (session.get_inputs(), session.get_outputs()))

given = sys.argv[1:]
for number in range(len(given) // len(inputs)):  # one by one: the texts of a call are padded to the longest
    *languages, text = given[number * len(inputs) :][: len(inputs)]
    feeds = {"texts": np.array([text], object)} | ({"languages": np.array(languages, object)} if languages else {})
    print("text", number + 1, sep="\t")
    for name, value in zip(outputs, session.run(outputs, feeds), strict=True):
        print(name, *value.ravel().tolist(), sep="\t")
