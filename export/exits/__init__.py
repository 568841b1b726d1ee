"""Folders that other servers and programs run, written from an archive: `lexport export-to`."""
