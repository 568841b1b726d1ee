"""Charts as SVG: no script, colours from the style sheet around them, readable in light and dark and in print.

A chart is plain XML without a namespace, as HTML takes it; only a `picture` is a file of its own. Series differ by
colour, marker and, from the sixth on, by dashes, so a reader does not need the colours; hovering over a point or a
cell shows its values.
"""
