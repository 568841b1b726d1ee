"""What `import lexport` shows: runs, archives, servers, and the functions behind the commands."""
