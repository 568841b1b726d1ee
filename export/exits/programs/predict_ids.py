"""Answer texts with the archive's own code: pip install -r requirements.txt; python predict.py TEXT…

A model with languages takes the language before each text: python predict.py en "a text" ne "another".
"""

import json
import sys
from pathlib import Path

from lexport_model import ArchivedModel

folder = Path(__file__).resolve().parent / "model"
model = ArchivedModel(folder)
step = 2 if json.loads((folder / "text.json").read_text(encoding="utf-8")).get("languages") else 1

given = sys.argv[1:]
for number in range(len(given) // step):
    *language, text = given[number * step :][:step]
    asked = {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": [text]}]}
    answer = model.infer(asked | ({"parameters": {"lang": language}} if language else {}))
    print("text", number + 1, sep="\t")
    for output in answer["outputs"]:
        print(output["name"], *output["data"], sep="\t")
