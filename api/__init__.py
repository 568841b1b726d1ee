"""The Python API of `import lexport`: runs, archives, servers, and the functions behind the commands."""
