"""Writing files whole or not at all, reading compressed ones, telling progress, showing text from outside safely."""
