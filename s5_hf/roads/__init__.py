"""Road graphs: nodes and edges in memory, their files, and what decides them from the scores of a network."""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "graphs": ("RoadGraph", "read_graph", "write_graph"),
        "networkx_graphs": ("from_networkx", "to_networkx"),
        "pair_votes": ("PairVotes", "neighbor_pairs", "points_in_window"),
        "road_nodes": ("NodeFinder", "NodeSettings", "Nodes", "released_road_nodes"),
    },
)
