"""lexport: labelled text in, a served and load-tested model archive that carries its evidence out.

    run = lexport.train("reviews.csv")
    run.predict(["would buy again"])[0].label
    run.export("onnx-int8")
    archive = run.archive("1.0")
    with lexport.serve(archive) as server:
        server.predict(["would buy again"])

What there is: `dir(lexport)`. `__init__.pyi` lists it; each name is imported when it is first used, so that
`import lexport` imports nothing else. Page: docs/python.md.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
