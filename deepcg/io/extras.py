"""Optional dependencies, imported only where they are used."""

from __future__ import annotations

import importlib
from types import ModuleType


def import_mesh_extra(name: str) -> ModuleType:
    """A module of the extra `deepcg[mesh]`.

    Raises
    ------
    ImportError
        It is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = {"igl": "libigl"}.get(name, name.partition(".")[0])
        raise ImportError(f"meshes and VTK files need {package}: pip install 'deepcg[mesh]'") from error
