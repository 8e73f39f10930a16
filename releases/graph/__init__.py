"""The picture of a process or a release, laid out on the server: columns of phases, boxes of activities, edges. Pure.

    graph = layout(phases, activities, opened=opened_from(request.GET.get("open", "")))

`templates/components/_graph.html` draws it. Heights are known without measuring, because every name is one line (docs/decisions/0005).
"""

from releases.graph.folding import EVERYTHING, opened_from
from releases.graph.layout import layout
from releases.graph.parts import Box, Card, Column, Graph, GraphActivity, GraphPhase, Path, Row

__all__ = ["EVERYTHING", "Box", "Card", "Column", "Graph", "GraphActivity", "GraphPhase", "Path", "Row", "layout", "opened_from"]
