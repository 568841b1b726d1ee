"""Write the pages and pictures of docs/ that are made from the code, and compile the protocol files.

python docs/generate
"""

from __future__ import annotations

from lexport.docs.generate import api, benchmarks, cli, errors, layers, options, protocols, schemas
from lexport.serving.embedded.grpc.messages import COMPILED

if __name__ == "__main__":
    for module in (api, benchmarks, cli, errors, layers, options):
        module.PAGE.write_text(module.page(), encoding="utf-8")
    schemas.FOLDER.mkdir(exist_ok=True)
    for path, content in schemas.files().items():
        path.write_text(content, encoding="utf-8")
    COMPILED.write_bytes(protocols.compiled())
