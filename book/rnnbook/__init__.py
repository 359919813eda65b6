"""What the pages of the book need beside the library: figures, sliders, claims, experiments."""
