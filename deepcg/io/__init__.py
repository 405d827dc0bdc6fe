"""Files in and out: models, meshes, VTK, pictures."""
