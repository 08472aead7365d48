"""MONAI dictionary transforms, each a thin class over a pure function in a module of its own."""
