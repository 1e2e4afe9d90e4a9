"""The demo: a photographed astronaut pasted into a painting, harmonized, shown before and after."""
