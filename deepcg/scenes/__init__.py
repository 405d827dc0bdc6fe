"""Systems to solve: the gallery, its scenes, their flow, systems from files."""
