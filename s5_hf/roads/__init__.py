"""Road graphs: nodes and edges in memory, and their files."""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "graphs": ("RoadGraph", "read_graph", "write_graph"),
        "networkx_graphs": ("from_networkx", "to_networkx"),
    },
)
