"""`lexport.Store`: a folder of archives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..storage.progress import Say, silent
from .archive import Archive
from .paths import StrPath

if TYPE_CHECKING:
    from ..export.archive.trust.keys import PublicKey
    from ..serving.stores.adding import Added
    from ..serving.stores.history import History
    from ..serving.stores.listing import Entry
    from ..serving.stores.oci.artifact import Pushed
    from ..serving.stores.removal import Collected, Removed


class Store:
    """A model store: a folder of archives, one file for each version of each model.

    store = lexport.store("model_store")
    store.add("reviews-1.0.mar")
    store.archive("reviews").predict(["would buy again"])
    """

    def __init__(
        self,
        folder: StrPath = "model_store",
        *,
        trusted: Sequence[PublicKey] | None = None,
        state_dir: StrPath | None = None,
    ) -> None:
        """Name the store in `folder`.

        With `trusted` keys (None: those of LEXPORT_KEYS) one of them must have signed what is added or pulled.
        `state_dir` is the folder of the server whose models are not removed, by default the user's.
        """
        self.folder = Path(folder)
        self._trusted = trusted
        self._state_dir = None if state_dir is None else Path(state_dir)

    def archive(self, model: str) -> Archive:
        """Return the archive of `NAME:VERSION`, or the newest of `NAME`. Raises InputError if there is none."""
        from ..serving.stores.find import find_archive

        return Archive(find_archive(model, store=self.folder, trusted=self._trusted), trusted=self._trusted)

    def add(self, *archives: Archive | StrPath, say: Say = silent) -> Sequence[Added]:
        """Verify archives and copy them in as NAME-VERSION.mar.

        Raises RefusedError for one that fails verification, and for a version that is there with other bytes.
        """
        from ..serving.stores.adding import add

        paths = [one.path if isinstance(one, Archive) else Path(one) for one in archives]
        return add(paths, store=self.folder, trusted=self._trusted, command="lexport.Store.add", say=say)

    def remove(self, *models: str, force: bool = False, say: Say = silent) -> Sequence[Removed]:
        """Remove versions, each `NAME:VERSION`. Raises RefusedError for what is served, unless `force` is given."""
        from ..serving.stores.removal import remove

        return remove(
            models,
            store=self.folder,
            force=force,
            state_dir=self._state_dir,
            command="lexport.Store.remove",
            say=say,
        )

    def gc(self, *, keep: int = 2, dry_run: bool = False, say: Say = silent) -> Collected:
        """Remove all but the newest `keep` versions of each name; nothing that is served or was the default last."""
        from ..serving.stores.removal import gc

        return gc(
            store=self.folder,
            keep=keep,
            dry_run=dry_run,
            trusted=self._trusted,
            state_dir=self._state_dir,
            command="lexport.Store.gc",
            say=say,
        )

    def history(self, name: str | None = None) -> History:
        """Return when which version was added, removed or made the default, of all models or of one."""
        from ..serving.stores.history import read_history

        return read_history(self.folder, name)

    def push(
        self,
        model: str,
        reference: str,
        *,
        plain_http: bool | None = None,
        credentials: str | None = None,
        force: bool = False,
        say: Say = silent,
    ) -> Pushed:
        """Send `NAME:VERSION` to `oci://REGISTRY/REPOSITORY:TAG`.

        `plain_http`: None means on the loopback interface alone. `credentials` is the name of a variable of the
        environment with USER:PASSWORD; None means docker's configuration. Raises RefusedError for a tag that names
        something else, unless `force` is given; SystemProblem for a registry that cannot be reached or refuses.
        """
        from ..serving.stores.oci.artifact import push

        return push(
            model,
            reference,
            store=self.folder,
            trusted=self._trusted,
            plain_http=plain_http,
            credentials=credentials,
            force=force,
            say=say,
        )

    def pull(
        self,
        reference: str,
        *,
        plain_http: bool | None = None,
        credentials: str | None = None,
        say: Say = silent,
    ) -> Added:
        """Add the archive at `oci://REGISTRY/REPOSITORY:TAG` or `…@sha256:…`; the options are those of `push`.

        Raises RefusedError for what is no archive of lexport, was altered or fails verification.
        """
        from ..serving.stores.oci.artifact import pull

        return pull(
            reference,
            store=self.folder,
            trusted=self._trusted,
            plain_http=plain_http,
            credentials=credentials,
            command="lexport.Store.pull",
            say=say,
        )

    # The last method: below it, `list` in a type would be this.
    def list(self) -> Sequence[Entry]:
        """Return what the store holds, each archive verified: by name, the newest version first.

        An archive that is damaged or not trusted is an entry too, with its `problem`.
        """
        from ..serving.stores.listing import entries

        return entries(self.folder, trusted=self._trusted, state_dir=self._state_dir)

    def __repr__(self) -> str:
        return f"Store({str(self.folder)!r})"
