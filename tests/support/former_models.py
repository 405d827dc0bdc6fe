"""Model files as earlier versions of deepcg wrote them."""

from pathlib import Path

from deepcg.io import model_file


def write_format_1(shipped: Path, path: Path) -> Path:
    """A multilevel model of today with the names of format 1, whose relaxation table was a codebook."""
    tensors, description = model_file.load(shipped)
    tensors["codebook"] = tensors.pop("relaxation_table")
    kept = {key: value for key, value in description.items() if key != "hash"}
    return model_file.save(path, tensors, {**kept, "version": 1})
