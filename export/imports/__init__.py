"""Foreign models become runs: each kind recognises its files, reads them, and says what the model answered before.

How a kind is added:

1. A class that extends `kind.Kind`, in a file of its own. `recognise(path)` says by the content of `path`, a file or
   a folder, whether it is of this kind; it raises nothing and reads little. `read(path, options)` returns an
   `Imported`, or raises an error with a code that says why the model cannot be brought in.
2. Its line in `kinds.KINDS`. The first kind that recognises a path reads it, so the more particular comes first.
3. A row in docs/import.md.

An `Imported` is what a run is made of (recipe, model, encoder, labels), and `before`: a function from texts to the
outputs of the foreign model, float32 [texts, labels] in the order of `labels` (scores), or [texts, dim] (unit
vectors). It works on the foreign files alone: where these say how texts are read, it shares no code with
`handlers/text/`, because it is what the run is compared with.

`importing.import_run` leads it: recognise, read, answer the user's texts before and after (`proof.py`), and only if
both agree write the run, with the texts as those that the run holds out. No weights are changed and nothing is
trained. Nothing in a foreign file is executed or unpickled.
"""
