"""The machine that measures."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from ...storage.cores import cores

# Instructions that make int8, fp16 and sums of rows fast, as Linux names them on x86 and ARM.
_X86 = ("avx", "avx2", "f16c", "fma", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8")
_ARM = ("asimd", "asimddp", "i8mm", "bf16", "sve")


def machine() -> dict[str, Any]:
    """Describe this machine: processor, cores, instructions that matter for low precision, operating system."""
    model, features = platform.processor() or platform.machine(), set()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                model = value.strip()
            elif name.strip() in ("flags", "Features"):
                features = set(value.split()).intersection({*_X86, *_ARM})
    except OSError:
        pass
    return {
        "processor": model,
        "cores": cores(),
        "features": sorted(features),
        "system": f"{platform.system()} {platform.machine()}",
    }
